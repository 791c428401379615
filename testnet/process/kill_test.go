package process

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// messages is how many go through the kills; HUM_KILL_MESSAGES asks for a long run.
func messages(t *testing.T, n int) int {
	if s := os.Getenv("HUM_KILL_MESSAGES"); s != "" {
		many, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return many
	}
	return n
}

// TestNothingLostNothingTwice sends 300 messages while either process is killed at random moments 0.3 to
// 3 s apart: every message that the sender's node accepted is delivered, once (RFC 2779, 5.4.1 and 5.4.2).
func TestNothingLostNothingTwice(t *testing.T) {
	t.Parallel()
	if verdict := underKills(t, Build(t), messages(t, 300)); verdict != "" {
		t.Error(verdict)
	}
}

// TestHarnessSeesAnEarlyAck plants a store that tells its callers before it commits. If this run found
// nothing, the one above would prove nothing.
func TestHarnessSeesAnEarlyAck(t *testing.T) {
	t.Parallel()
	bin := Build(t, "planted")
	for range 3 {
		if verdict := underKills(t, bin, 60); verdict != "" {
			t.Logf("found, as it must be: %s", verdict)
			return
		}
	}
	t.Error("a store that acknowledges before it commits lost nothing under kills")
}

// underKills returns what is wrong after all is over, or nothing.
func underKills(t *testing.T, bin string, count int) string {
	alice, bob := New(t, bin, "alice"), New(t, bin, "bob")
	for _, h := range []*Home{alice, bob} {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	Befriend(t, alice, bob)
	k := &killer{homes: []*Home{alice, bob}, stop: make(chan struct{})}
	k.wg.Add(1)
	go k.run()
	accepted := map[string]string{} // id by text
	for i := range count {
		text := fmt.Sprintf("message %d", i)
		for try := 0; ; try++ {
			r := alice.Run("send", "bob", text)
			if r.Code == 0 {
				accepted[text] = Lines(t, r.Out)[0]["id"].(string)
				break
			}
			text = fmt.Sprintf("message %d, try %d", i, try+1) // the one before may be queued or not: it is nobody's promise
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
	}
	close(k.stop)
	k.wg.Wait()
	if k.err != nil {
		t.Fatal(k.err)
	}
	t.Logf("%d kills", k.kills)
	return audit(t, alice, bob, accepted)
}

// audit waits until every promised message is delivered, and looks for what is missing or doubled.
func audit(t *testing.T, alice, bob *Home, accepted map[string]string) string {
	var waiting []string
	end := time.Now().Add(100 * time.Second)
	for {
		waiting = waiting[:0]
		states := map[string]string{}
		for _, m := range alice.Must(t, "outbox") {
			states[m["id"].(string)] = m["state"].(string)
		}
		for text, id := range accepted {
			switch s := states[id]; s {
			case "delivered":
			case "":
				return fmt.Sprintf("%q was accepted, and its sender's node knows nothing of it", text)
			default:
				waiting = append(waiting, text+" is "+s)
			}
		}
		if len(waiting) == 0 || time.Now().After(end) {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	if len(waiting) > 0 {
		return fmt.Sprintf("%d of %d not delivered: %s", len(waiting), len(accepted), waiting[0])
	}
	times := map[string]int{}
	for _, m := range bob.Must(t, "inbox") {
		times[m["text"].(string)]++
	}
	for text := range accepted {
		if times[text] == 0 {
			return fmt.Sprintf("%q is said to be delivered and is not in the inbox", text)
		}
	}
	for text, n := range times {
		if n > 1 {
			return fmt.Sprintf("%q came %d times", text, n)
		}
	}
	return ""
}

// killer kills one of the homes now and then, and starts it again.
type killer struct {
	homes []*Home
	stop  chan struct{}
	wg    sync.WaitGroup
	kills int
	err   error
}

func (k *killer) run() {
	defer k.wg.Done()
	for {
		pause := 300*time.Millisecond + time.Duration(rand.IntN(2700))*time.Millisecond
		select {
		case <-k.stop:
			return
		case <-time.After(pause):
		}
		h := k.homes[rand.IntN(len(k.homes))]
		h.Kill()
		k.kills++
		if err := h.Up(); err != nil {
			k.err = err
			return
		}
	}
}
