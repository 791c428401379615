// A program in virtual time, built as any other: a day passes at once, and its random bytes come from a seed.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/hum-presence/hum/testnet/virtual"
)

func main() {
	seed, _ := strconv.ParseUint(os.Args[1], 10, 64)
	began := time.Now()
	var b [8]byte
	ticks := 0
	virtual.Run(seed, func() {
		go func() { // left behind, and no harm
			for range time.Tick(time.Hour) {
				ticks++
			}
		}()
		if time.Now().Unix() != virtual.Start {
			panic("the bubble does not begin at its start")
		}
		time.Sleep(24*time.Hour + time.Second)
		virtual.Wait()
		rand.Read(b[:])
	})
	fmt.Printf("%d hours, %x\n", ticks, b)
	if d := time.Since(began); d < 0 || d > time.Hour {
		panic("real time did not come back")
	}
}
