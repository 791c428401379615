// Command sensor-go publishes what a file says (a thermometer, a counter) as the presence of a thing, and tells
// it to whoever writes. Any program can do so: the local API of a hum node is JSON over HTTP, at the address and
// with the token that the node writes into control.json in its home, for its owner alone, while it runs with
// --api. Each method of node/control/proto/hum/v1/control.proto is one POST. Who may watch: see hum policy.
//
//	hum up --api 127.0.0.1:0 &
//	HUM_HOME=~/.local/share/hum go run ./docs/examples/sensor-go /sys/class/thermal/thermal_zone0/temp
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

type object = map[string]any

var door struct{ URL, Token string }

func call(method string, ask object, answer any) {
	body, _ := json.Marshal(ask)
	r, err := http.NewRequest("POST", door.URL+"/hum.v1.ControlService/"+method, bytes.NewReader(body))
	check(err)
	r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + door.Token}}
	res, err := http.DefaultClient.Do(r)
	check(err)
	defer func() { _ = res.Body.Close() }()
	if check(json.NewDecoder(res.Body).Decode(answer)); res.StatusCode != http.StatusOK {
		log.Fatal(method, ": ", res.Status)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	key, err := os.ReadFile(filepath.Join(os.Getenv("HUM_HOME"), "control.json"))
	check(err)
	check(json.Unmarshal(key, &door))
	for ; ; time.Sleep(2 * time.Second) {
		value, err := os.ReadFile(os.Args[1])
		check(err)
		value = bytes.TrimSpace(value)
		reading := object{"name": "x.example.org/reading", "value": string(value)}
		call("Set", object{"basic": "open", "bare": true, "measures": object{"list": []object{reading}}}, new(any))
		var inbox struct {
			Messages []struct{ ID, Displayed string }
		}
		call("Inbox", object{}, &inbox)
		for _, m := range inbox.Messages {
			if m.Displayed == "" { // not answered yet
				call("Reply", object{"id": m.ID, "draft": object{"content": value}}, new(any))
				call("OpenMessage", object{"id": m.ID}, new(any))
			}
		}
	}
}
