package measure

import "time"

// Sent notes that a message was accepted for sending.
func (b *Book) Sent(t time.Duration, from, to int, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: from, Op: "sent", M: to, Text: id}) {
		return
	}
	b.advance(t)
	b.letters[id] = &letter{from: from, to: to, at: t, counted: t >= b.Begin}
	b.event(Event{Kind: "send", Node: from, Other: to + 1, ID: id})
}

// Inbox notes that a message is in an inbox.
func (b *Book) Inbox(t time.Duration, to int, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: to, Op: "inbox", Text: id}) {
		return
	}
	b.advance(t)
	l := b.letters[id]
	if l == nil || l.to != to {
		b.counts.strange++
		return
	}
	if l.inbox++; b.twice[to] {
		l.inbox++
	}
	took := t - l.at
	if l.inbox == 1 || b.twice[to] && l.inbox == 2 {
		if l.counted {
			b.dist("message_time").add(took.Seconds())
		}
	}
	b.event(Event{Kind: "inbox", Node: to, Other: l.from + 1, ID: id, Took: took.Seconds()})
}

// Settled notes what became of a message at its sender: delivered, displayed or failed.
func (b *Book) Settled(t time.Duration, from int, id, state string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.recorded(Entry{T: t, N: from, Op: "settled", Text: id, State: state}) {
		return
	}
	b.advance(t)
	l := b.letters[id]
	if l == nil || l.from != from {
		return
	}
	took := t - l.at
	if (state == "delivered" || state == "displayed") && l.state == "" && l.counted {
		b.dist("ack_time").add(took.Seconds())
	}
	if state != "sending" && state != "queued" && state != "handed" && state != "stored" {
		l.state = state
	}
	b.event(Event{Kind: "settled", Node: from, Other: l.to + 1, ID: id, State: state, Took: took.Seconds()})
}

// A letterCount is what became of all messages.
type letterCount struct{ sent, kept, doubled, delivered, failed, undecided, lost int }

func (b *Book) letterCounts() (c letterCount) {
	for _, l := range b.letters {
		if !l.counted {
			continue
		}
		c.sent++
		c.kept += count(l.inbox > 0)
		c.doubled += count(l.inbox > 1)
		delivered := l.state == "delivered" || l.state == "displayed"
		c.delivered += count(delivered)
		c.failed += count(l.state == "failed")
		c.undecided += count(l.state == "")
		// Called delivered and not there: what must never be.
		c.lost += count(delivered && l.inbox == 0)
	}
	return c
}
