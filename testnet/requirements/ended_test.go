package requirements

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// asked is an operator's node as one that Carol asks: it has no address of hum, and a place.
func (o *operator) asked() *person {
	o.w.Helper()
	m, err := ma.NewMultiaddr(o.Listening()[0])
	o.w.must(err)
	info, err := peer.AddrInfoFromP2pAddr(m)
	o.w.must(err)
	return &person{w: o.w, name: o.name, ip: o.ip, info: info}
}

// A reader is Carol at a community's node, where she asks for whatever she has heard of.
type reader struct {
	*hostile
	at *person
}

// asksAll watches and joins, at the node, every epoch that was named to her.
func (r *reader) asksAll() {
	for _, e := range r.got.topics() {
		r.join(e)
		_ = r.watchTopic(r.at, e)
		_, _ = r.request(r.at, presenceProto, wire.OpGet, wire.GetRequest{Key: e}.Append(nil))
	}
}

// opens is how many changes since a time, of those that the node has sent her, these grants open, and how many it sent.
func (r *reader) opens(since wire.Time, grants ...wire.Grant) (opened, sent int) {
	for _, e := range r.got.topics() {
		for _, rec := range r.recs(e) {
			if rec.T < since || rec.IsBeacon() {
				continue
			}
			sent++
			for _, g := range grants {
				if _, err := wire.OpenDoc(g.K, e, rec.Tag, rec.T, rec.CT); err == nil {
					opened++
					break
				}
			}
		}
	}
	return opened, sent
}

// slot is the SubState that lies in a slot of Carol's, and false if there is none that she can open.
func (r *reader) slot(k wire.PublicKey) (st wire.SubState, ok bool) {
	f, err := r.request(r.at, presenceProto, wire.OpGet, wire.GetRequest{Key: k}.Append(nil))
	if err != nil || f.Status != wire.OK {
		return st, false
	}
	reply, err := wire.ParseGetReply(f.Payload)
	if err != nil || len(reply.Recs) != 1 {
		return st, false
	}
	rec, err := wire.ParseKept(wire.ContextSlot, reply.Recs[0])
	if err != nil {
		return st, false
	}
	o, ok := r.openParcel(rec.CT)
	if !ok {
		return st, false
	}
	st, err = wire.ParseSubState(o.Inner.Signed.Body)
	return st, err == nil
}

// Carol ends her subscription; then she asks Bob's anchor for all that she has heard of, and hears it on his topics. Ten
// changes later she has received every one of them there, under a key that she never held: none opens, nor does what lies
// in her slot hold another key (requirement 5.1.7). Dora, who goes on watching, opens all ten.
func TestReq_5_1_7_WhatLeavesAnAnchor(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob := w.operator("d", does(anchors)), w.person("bob")
		bob.enters(d.invite(1))
		c, dora := &reader{w.hostile("carol"), d.asked()}, w.hostile("dora")
		g := c.watch(bob)
		dora.watch(bob)
		time.Sleep(20 * time.Second)
		w.net.Cut(c.ip, bob.ip) // so that all comes from the anchor
		c.meet(c.at)
		changes := func(n int) wire.Time {
			began := now()
			for i := range n {
				bob.note("later " + string(rune('a'+i)))
				time.Sleep(2 * time.Second)
				c.asksAll()
				time.Sleep(time.Second)
			}
			return began
		}
		if opened, sent := c.opens(changes(3), c.keysOf(bob)...); opened != 3 || sent != 3 {
			t.Fatalf("as a watcher she was sent %d of 3 changes by the anchor, and opens %d", sent, opened)
		}
		if st, ok := c.slot(g.Slot); !ok || st.State != wire.SubActive || st.Grant == nil {
			t.Errorf("before the end her slot holds %+v, %v", st, ok)
		}
		w.net.Join(c.ip, bob.ip)
		c.post(bob, unsub(c.hostile, bob, carolsSub))
		w.soonly("she is listed as gone", func() bool { return bob.watcherAt(c.address().String()).State == "terminated" })
		time.Sleep(time.Minute)
		w.net.Break(c.ip, bob.ip)
		began := changes(10)
		opened, sent := c.opens(began, c.keysOf(bob)...)
		if opened != 0 || sent < 10 {
			t.Errorf("after the end she was sent %d changes, and opens %d", sent, opened)
		}
		if all, _ := c.opens(began, dora.keysOf(bob)...); all < 10 {
			t.Errorf("who goes on watching opens %d of them", all)
		}
		if st, ok := c.slot(g.Slot); ok && (st.State == wire.SubActive || st.Grant != nil && st.Grant.K != [32]byte{}) {
			t.Errorf("her slot holds %+v", st)
		}
	})
}

// Alice, whom nothing but a community's node leads to Bob, ends her subscription while he is away: from the moment that he
// hears of it, nothing comes to her from that node, as relay or anchor, that she or anybody who held what she held opens.
func TestReq_5_1_7_EndedWhileHeWasAway(t *testing.T) {
	inWorld(t, func(w *world) {
		w.plain = true
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		dora := w.hostile("dora")
		invite := d.invite(2)
		bob.enters(invite)
		alice.enters(invite)
		alice.watch(bob)
		held := dora.watch(bob) // as Alice has it
		bob.note("hers to read")
		time.Sleep(20 * time.Second)
		w.net.Cut(alice.ip, bob.ip)
		bob.note("hers to read, by the node")
		w.within(10*time.Minute, "alice reads it", func() bool { return alice.sees(bob).Note == "hers to read, by the node" })
		came := func(since wire.Time, grants ...wire.Grant) (n int) {
			for _, g := range grants {
				n += occurs(alice.got.all(d.ip), wire.TagOf(g.K, bob.Self().Device), since)
			}
			return n
		}
		if came(0, held) == 0 {
			t.Fatal("nothing came to her under the key that she holds")
		}
		bob.kill(testnet.Blackout)
		must(alice.Unwatch(ctx(), "bob"))
		w.within(10*time.Minute, "her word waits", func() bool { return d.kept().Items > 0 })
		bob.up()
		w.within(30*time.Minute, "bob hears of it", func() bool { return bob.watcher(alice).State == "terminated" })
		time.Sleep(time.Minute)
		began := now()
		for i := range 10 {
			bob.note("later " + string(rune('a'+i)))
			time.Sleep(3 * time.Second)
		}
		time.Sleep(5 * time.Minute)
		if n := came(began, held); n != 0 {
			t.Errorf("%d records under a key that she held came to her from the node", n)
		}
		if p := alice.sees(bob); p.Basic != "unknown" || p.Note != "" {
			t.Errorf("she sees %+v", p)
		}
		dora.meet(d.asked())
		late := &reader{dora, d.asked()}
		late.asksAll()
		bob.note("the last")
		time.Sleep(10 * time.Second)
		if opened, _ := late.opens(began, dora.keysOf(bob)...); opened == 0 {
			t.Error("who goes on watching reads nothing")
		}
		if opened, _ := late.opens(began, held); opened != 0 {
			t.Errorf("%d changes since are under the key that both held", opened)
		}
	})
}

// occurs is how many records under a tag, signed since a time, are in what a machine obtained.
func occurs(b []byte, tag wire.Tag, since wire.Time) (n int) {
	for i := range b {
		if r, ok := recAt(b[i:]); ok && r.Tag == tag && r.T >= since {
			n++
		}
	}
	return n
}

// recAt is the record that begins here.
func recAt(b []byte) (r wire.Rec, ok bool) {
	for _, n := range []int{92, 373, 629} {
		if len(b) >= n && b[0] == 10 {
			if r, err := wire.ParseRec(b[:n]); err == nil {
				return r, true
			}
		}
	}
	return r, false
}
