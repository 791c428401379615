// Command pager-go is a gateway: it hands each message that comes into the inbox of its node to a command, which
// pages, mails or prints it. The node must know that it is one, since its senders are then told that their
// message was handed on, and no more:
//
//	echo 'gateway = true' >>$HUM_HOME/config.toml
//	hum up &
//	go run ./docs/examples/pager-go -most 160 mail -s page oncall@example.org
//
// With -most N a text is cut after N letters, and its sender gets an answer that says so.
//
// The command gets the content on stdin, and in its environment HUM_ID, HUM_FROM, HUM_NAME, HUM_TYPE and HUM_HOPS.
// A message counts as handed on when the command ends well; until then it is tried again, also after a crash
// between the two, so the command may see an id twice. With -tries N it is given up after the N-th time, and its
// sender is told that it failed. Whatever hears later what became of a message that was handed on, such as the
// answer of a pager network, says so once, and its sender is told: hum report ID delivered, or failed.
//
// HUM_HOPS is how often gateways behind this one may hand it
// on: whatever leads back into hum passes it on (hum send --hops), and at 0 no gateway takes the message.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"time"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

const pause = time.Second // between two looks

func main() {
	most := flag.Int("most", 0, "cut a text after so many letters, and tell its sender; 0: never")
	tries := flag.Int("tries", 0, "give a message up when the command has failed so often; 0: never")
	flag.Parse()
	if flag.NArg() == 0 {
		log.Fatal("pager-go [-most N] [-tries N] COMMAND [ARGUMENT…]")
	}
	ctx := context.Background()
	node, err := control.Dial(os.Getenv("HUM_HOME"))
	if err != nil {
		log.Fatal(err)
	}
	failed := map[string]int{} // by id
	for ; ; time.Sleep(pause) {
		in, err := node.Inbox(ctx, &humv1.InboxRequest{})
		if err != nil {
			log.Fatal(err) // whoever runs this starts it again
		}
		for _, m := range in.Messages {
			if m.Displayed != nil { // handed on before
				continue
			}
			cut := shorten(m, *most)
			err := hand(ctx, m, flag.Args())
			if failed[m.Id]++; err != nil && failed[m.Id] != *tries {
				log.Printf("%s stays: %v", m.Id, err)
				continue
			}
			delete(failed, m.Id)
			if err != nil {
				log.Printf("%s is given up: %v", m.Id, err)
				if _, err := node.Report(ctx, &humv1.ReportRequest{Id: m.Id, Failed: true}); err != nil {
					log.Printf("its sender is not told: %v", err)
				}
			} else if cut {
				notice := fmt.Sprintf("Only the first %d letters of your message were handed on.", *most)
				if _, err := node.Reply(ctx, &humv1.ReplyRequest{Id: m.Id, Draft: &humv1.Draft{Content: []byte(notice)}}); err != nil {
					log.Printf("the sender of %s is not told that it was cut: %v", m.Id, err)
				}
			}
			if _, err := node.OpenMessage(ctx, &humv1.OpenMessageRequest{Id: m.Id}); err != nil {
				log.Fatal(err)
			}
		}
	}
}

// shorten cuts a text to so many letters.
func shorten(m *humv1.Received, most int) (cut bool) {
	text := []rune(m.Text)
	if cut = most > 0 && len(m.Content) == 0 && len(text) > most; cut {
		m.Text = string(text[:most])
	}
	return cut
}

// hand runs the command for a message, within a minute.
func hand(ctx context.Context, m *humv1.Received, command []string) error {
	if m.Hops == 0 {
		return errors.New("too many hops")
	}
	ctx, done := context.WithTimeout(ctx, time.Minute)
	defer done()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "HUM_ID="+m.Id, "HUM_FROM="+m.From, "HUM_NAME="+m.FromName, "HUM_TYPE="+m.Type, fmt.Sprintf("HUM_HOPS=%d", m.Hops-1))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(content(m)), os.Stdout, os.Stderr
	return cmd.Run()
}

// content is the octets of a message; text beside what is none is a part of it.
func content(m *humv1.Received) []byte {
	if len(m.Content) > 0 {
		return m.Content
	}
	return []byte(m.Text)
}
