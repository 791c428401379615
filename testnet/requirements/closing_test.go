package requirements

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
)

// pours has node n write to q, a message every 10 ms, until d has passed or it says no. The line between them takes
// 50 ms, so that there are some at each stage of their way.
func (p *person) pours(n *node.Node, q *person, d time.Duration, words ...any) (sent []node.Sent, err error) {
	p.w.net.Set(p.ip, q.ip, testnet.Link{Latency: 50 * time.Millisecond})
	for end := time.Now().Add(d); time.Now().Before(end) && err == nil; time.Sleep(10 * time.Millisecond) {
		var s node.Sent
		s, err = n.Send(ctx(), node.Draft{To: addressOf(q), Content: fmt.Appendln(nil, append(words, len(sent))...), Expires: 24 * time.Hour})
		if err == nil {
			sent = append(sent, s)
		}
	}
	return sent, err
}

// count is how often each text is in p's inbox.
func (p *person) count() map[string]int {
	n := map[string]int{}
	for _, text := range p.inbox() {
		n[text]++
	}
	return n
}

// keptOnce is the check that each message which its sender was told is delivered is there once, and none twice.
func keptOnce(told map[string]bool, there map[string]int) error {
	for text := range told {
		if there[text] != 1 {
			return fail("%q was delivered, and is there %d times", text, there[text])
		}
	}
	for text, n := range there {
		if n > 1 {
			return fail("%q is there %d times", text, n)
		}
	}
	return nil
}

// Bob stops his node, five times, while messages pour in. What Alice heard is delivered until then is there when he
// comes back; all the rest is delivered later, and nothing is there twice (RFC 2779, 5.4.1 and 5.4.2).
func TestReq_5_4_1_ClosedUnderLoad(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice) // or he would keep twenty
		alice.delivers(bob, "before")
		var sent []node.Sent
		pours := func(d time.Duration) {
			more, err := alice.pours(alice.Node, bob, d, "after", len(sent))
			w.must(err)
			sent = append(sent, more...)
		}
		delivered := func() map[string]bool {
			told := map[string]bool{}
			for _, s := range alice.fates() {
				if s.State == "delivered" {
					told[string(s.Content)] = true
				}
			}
			return told
		}
		done, open := 0, 0 // when he stopped, of those of that life
		for life := range 5 {
			before, was := len(sent), len(delivered())
			pours(200*time.Millisecond + time.Duration(life)*3*time.Millisecond)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				bob.down()
			}()
			pours(200 * time.Millisecond) // while he stops, and after
			<-ended
			told := delivered()
			done, open = done+len(told)-was, open+len(sent)-before-len(told)+was
			time.Sleep(time.Minute)
			bob.up()
			w.must(keptOnce(told, bob.count()))
			w.within(time.Hour, "all are delivered", func() bool { return len(delivered()) == len(sent)+1 })
		}
		w.must(allSettled(alice, bob, sent))
		w.must(keptOnce(delivered(), bob.count()))
		if done < 25 || open < 25 {
			t.Errorf("that was no load: when he stopped %d were delivered and %d were not", done, open)
		}
		w.finds("one that is lost", keptOnce(map[string]bool{"never there": true}, bob.count()))
		w.finds("one that is there twice", keptOnce(nil, map[string]int{"twice": 2}))
	})
}

// Alice stops her own node, five times, while four of her programs write: each Send is answered, by a message that she
// keeps and that arrives once, or by an error, and nothing of that ever arrives (RFC 2779, 5.4.1).
func TestReq_5_4_1_ClosedWhileWriting(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		alice.delivers(bob, "before")
		var mu sync.Mutex
		var sent []node.Sent
		refused := 0
		for life := range 5 {
			var writers sync.WaitGroup
			n := alice.Node
			for writer := range 4 {
				writers.Go(func() {
					some, err := alice.pours(n, bob, time.Minute, life, writer)
					mu.Lock()
					defer mu.Unlock()
					if sent = append(sent, some...); err != nil {
						refused++
					}
				})
			}
			time.Sleep(200 * time.Millisecond) // as they write
			alice.down()
			writers.Wait()
			alice.up()
			fates := alice.fates()
			for _, s := range sent {
				if fates[s.ID].State == "" {
					t.Errorf("%v was said to be queued, and is forgotten", s.ID)
				}
			}
			if got := len(fates); got != len(sent)+1 {
				t.Errorf("%d messages were said to be queued, %d are", len(sent)+1, got)
			}
		}
		w.within(time.Hour, "all are delivered", func() bool {
			s, err := alice.Status(ctx())
			return err == nil && s.Outbox == 0
		})
		w.must(allSettled(alice, bob, sent))
		if got := len(bob.inbox()); got != len(sent)+1 {
			t.Errorf("%d messages were queued, %d are there", len(sent)+1, got)
		}
		if len(sent) < 300 || refused != 20 {
			t.Errorf("that was no load: %d queued, %d refused", len(sent), refused)
		}
	})
}
