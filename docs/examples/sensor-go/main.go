// Command sensor-go publishes what a file says (a thermometer, a counter) as the presence of a thing, and tells
// it to whoever writes. Any program can do so: [control.Dial] speaks to the node that runs in a home, and each
// method of node/control/proto/hum/v1/control.proto is one call. Who may watch: see hum policy.
//
//	hum up &
//	HUM_HOME=~/.local/share/hum go run ./docs/examples/sensor-go /sys/class/thermal/thermal_zone0/temp
package main

import (
	"bytes"
	"context"
	"log"
	"os"
	"time"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

func must[T any](answer T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return answer
}

func main() {
	ctx, node := context.Background(), must(control.Dial(os.Getenv("HUM_HOME")))
	for ; ; time.Sleep(2 * time.Second) {
		value := bytes.TrimSpace(must(os.ReadFile(os.Args[1])))
		reading := []*humv1.Measure{{Name: "x.example.org/reading", Value: string(value)}}
		must(node.Set(ctx, &humv1.SetRequest{Basic: new("open"), Bare: new(true), Measures: &humv1.Measures{List: reading}}))
		for _, m := range must(node.Inbox(ctx, &humv1.InboxRequest{})).Messages {
			if m.Displayed == nil { // not answered yet
				must(node.Reply(ctx, &humv1.ReplyRequest{Id: m.Id, Draft: &humv1.Draft{Content: value}}))
				must(node.OpenMessage(ctx, &humv1.OpenMessageRequest{Id: m.Id}))
			}
		}
	}
}
