package requirements

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// S33: values that are well formed, and wrong: out of range, of another, in contradiction to each other, or
// required and unknown. Each is refused by its name in the order of SPEC 9.1, or goes without an answer where
// SPEC 4.8 says so, and what is right is taken after it.
func TestReq_S33_EveryWrongValue(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, c := w.person("bob"), w.hostile("carol")
		c.answer[parcelProto] = c.withoutSessions
		_, err := bob.Add(ctx(), c.card(), "carol")
		w.must(err)
		_, err = bob.Watch(ctx(), "carol", "", 0)
		w.must(err)
		w.within(time.Minute, "bob asks carol", func() bool { return len(c.askedBy(bob)) > 0 })
		asked := c.askedBy(bob)[0].Sub
		bundle, to, stranger := c.bundleOf(bob), bob.Self().Address, newKeys("somebody else")
		other, day := stranger.address(), 24*time.Hour
		far := func() identity.Time { return now().Add(identity.Skew + time.Hour) }
		said := func(s wire.Signed) string {
			c.hand(bob, c.seal(bundle, s, c.records[0]))
			time.Sleep(61 * time.Second) // one poll and one fetch a minute
			return c.verdict(bob, s)
		}
		later := []wire.Unknown{{Number: 100, Raw: piece{n: 100, typ: 2, body: []byte("x")}.append(nil)}}
		must := []wire.Ext{{Name: "x.example.org/a", Value: []byte{1}, MustUnderstand: true}}
		type letter = func() wire.Signed // written when it is sent, since it bears the time
		im := func(edit func(*wire.IM)) letter { return func() wire.Signed { return c.im(bob, "hello", edit) } }
		sub := func(edit func(*wire.SubRequest)) letter {
			var id wire.SubID
			_, _ = c.rand.Read(id[:])
			return func() wire.Signed { return c.subRequest(bob, id, edit) }
		}
		end := func(edit func(*wire.Unsub)) letter {
			return func() wire.Signed {
				u := wire.Unsub{From: c.address(), To: to, Sub: wire.SubID{1}, At: now()}
				edit(&u)
				return wire.Sign(c.d, wire.TypeUnsub, u.Append(nil))
			}
		}
		ask := func(edit func(*wire.Fetch)) letter {
			return func() wire.Signed {
				f := wire.Fetch{From: c.address(), To: to, At: now()}
				_, _ = c.rand.Read(f.Req[:])
				edit(&f)
				return wire.Sign(c.d, wire.TypeFetch, f.Append(nil))
			}
		}
		reply := func(edit func(*wire.FetchReply)) letter {
			return func() wire.Signed {
				r := wire.FetchReply{From: c.address(), To: to, Req: wire.ReqID{1}, State: wire.FetchDenied, AsOf: now()}
				edit(&r)
				return wire.Sign(c.d, wire.TypeFetchReply, r.Append(nil))
			}
		}
		state := func(edit func(*wire.SubState)) letter {
			return func() wire.Signed {
				s := wire.SubState{From: c.address(), To: to, Sub: asked, Seq: now(), State: wire.SubActive, Expires: now().Add(day),
					Grant: &wire.Grant{E: stranger.a.Public(), K: [32]byte{1}, NotBefore: now(), NotAfter: now().Add(day), TTL: 150}}
				edit(&s)
				return wire.Sign(c.d, wire.TypeSubState, s.Append(nil))
			}
		}
		signed := func(l letter, edit func(*wire.Signed)) letter {
			return func() wire.Signed { s := l(); edit(&s); return s }
		}
		asIs := func(s *wire.Signed) { s.Key = stranger.d.Public(); s.Sig = stranger.d.Sign(s.Type.Label(), s.Body) }
		plain := im(func(*wire.IM) {})()
		for _, x := range []struct {
			what string
			make letter
			want string
		}{
			{"a message", im(func(*wire.IM) {}), "delivered"},
			{"from another", im(func(m *wire.IM) { m.From = other }), "failed(stale-record)"},
			{"from nobody", im(func(m *wire.IM) { m.From = identity.Address{} }), "forbidden(refused-anonymous)"},
			{"from the recipient", im(func(m *wire.IM) { m.From = to }), "failed(bad-signature)"},
			{"to another", im(func(m *wire.IM) { m.To = other }), "failed(recipient-mismatch)"},
			{"of another device", im(func(m *wire.IM) { m.Device = identity.DeviceIDOf(stranger.d.Public()) }), "failed(bad-signature)"},
			{"sent in the future", im(func(m *wire.IM) { m.Sent, m.Expires = far(), far().Add(day) }), "failed(time)"},
			{"expired", im(func(m *wire.IM) { m.Sent, m.Expires = now().Add(-day), now().Add(-time.Minute) }), "failed(expired)"},
			{"for more than 14 days", im(func(m *wire.IM) { m.Expires = m.Sent.Add(wire.IMMaxLife + time.Millisecond) }), "failed(expired)"},
			{"that ends before it begins", im(func(m *wire.IM) { m.Expires = m.Sent - 1 }), "failed(expired)"},
			{"of more content than there may be", im(func(m *wire.IM) { m.Content = make([]byte, wire.MaxContent+1) }), "failed(too-large)"},
			{"a CPIM that is none", im(func(m *wire.IM) { m.ContentType = "message/cpim" }), "failed(malformed)"},
			{"that requires a field of a later profile", im(func(m *wire.IM) { m.Reply, m.Crit = &wire.Endpoint{Peer: []byte("x")}, []uint32{11} }), "failed(unsupported-required)"},
			{"that requires a field of nobody", im(func(m *wire.IM) { m.Unknown, m.Crit = later, []uint32{100} }), "failed(unsupported-required)"},
			{"that requires an extension", im(func(m *wire.IM) { m.Ext = must }), "failed(unsupported-required)"},
			{"a signature that does not hold", signed(im(func(*wire.IM) {}), func(s *wire.Signed) { s.Sig[5] ^= 1 }), "failed(bad-signature)"},
			{"a signature of another message", signed(im(func(*wire.IM) {}), func(s *wire.Signed) { s.Sig = plain.Sig }), "failed(bad-signature)"},
			{"a signature of another type", signed(im(func(*wire.IM) {}), func(s *wire.Signed) { s.Sig = c.d.Sign("sub-req", s.Body) }), "failed(bad-signature)"},
			{"signed by a device that is not listed", signed(im(func(*wire.IM) {}), asIs), "failed(bad-signature)"},
			{"an address record where a message stands", func() wire.Signed { return c.records[0] }, "failed(malformed)"},
			{"an ack where a message stands", func() wire.Signed { return wire.Sign(c.d, wire.TypeAck, []byte{1}) }, "silence"},

			{"a request from another", sub(func(r *wire.SubRequest) { r.From = other }), "failed(stale-record)"},
			{"a request to another", sub(func(r *wire.SubRequest) { r.To = other }), "failed(recipient-mismatch)"},
			{"a request of the future", sub(func(r *wire.SubRequest) { r.At = far() }), "failed(time)"},
			{"a request of last year", sub(func(r *wire.SubRequest) { r.At = now().Add(-365 * day) }), "silence"},
			{"a request that requires a later field", sub(func(r *wire.SubRequest) { r.Reply, r.Crit = &wire.Endpoint{Peer: []byte("x")}, []uint32{8} }), "failed(unsupported-required)"},
			{"a request that requires an extension", sub(func(r *wire.SubRequest) { r.Ext = must }), "failed(unsupported-required)"},
			{"a request that nobody signed", signed(sub(func(*wire.SubRequest) {}), asIs), "failed(bad-signature)"},
			{"a request", sub(func(*wire.SubRequest) {}), "silence"}, // it is answered by a SubState

			{"an end from another", end(func(u *wire.Unsub) { u.From = other }), "failed(stale-record)"},
			{"an end to another", end(func(u *wire.Unsub) { u.To = other }), "failed(recipient-mismatch)"},
			{"an end of the future", end(func(u *wire.Unsub) { u.At = far() }), "failed(time)"},
			{"an end of last year", end(func(u *wire.Unsub) { u.At = now().Add(-365 * day) }), "silence"},
			{"an end that requires a field", end(func(u *wire.Unsub) { u.Unknown, u.Crit = later, []uint32{100} }), "failed(unsupported-required)"},
			{"an end that nobody signed", signed(end(func(*wire.Unsub) {}), asIs), "failed(bad-signature)"},

			{"a fetch from another", ask(func(f *wire.Fetch) { f.From = other }), "failed(stale-record)"},
			{"a fetch to another", ask(func(f *wire.Fetch) { f.To = other }), "failed(recipient-mismatch)"},
			{"a fetch of the future", ask(func(f *wire.Fetch) { f.At = far() }), "failed(time)"},
			{"a fetch of an hour ago", ask(func(f *wire.Fetch) { f.At = now().Add(-time.Hour) }), "silence"},
			{"a fetch that requires an extension", ask(func(f *wire.Fetch) { f.Ext = must }), "failed(unsupported-required)"},
			{"a fetch that nobody signed", signed(ask(func(*wire.Fetch) {}), asIs), "failed(bad-signature)"},

			{"an answer from another", reply(func(r *wire.FetchReply) { r.From = other }), "failed(stale-record)"},
			{"an answer to another", reply(func(r *wire.FetchReply) { r.To = other }), "failed(recipient-mismatch)"},
			{"an answer of the future", reply(func(r *wire.FetchReply) { r.AsOf = far() }), "failed(time)"},
			{"an answer that requires an extension", reply(func(r *wire.FetchReply) { r.Ext = must }), "failed(unsupported-required)"},
			{"an answer that nobody signed", signed(reply(func(*wire.FetchReply) {}), asIs), "failed(bad-signature)"},
			{"an answer to what was not asked", reply(func(*wire.FetchReply) {}), "silence"},

			{"a state from another", state(func(s *wire.SubState) { s.From = other }), "failed(stale-record)"},
			{"a state for another", state(func(s *wire.SubState) { s.To = other }), "failed(recipient-mismatch)"},
			{"a state of the future", state(func(s *wire.SubState) { s.Seq = far() }), "failed(time)"},
			{"a state that is unknown", state(func(s *wire.SubState) { s.State = 9 }), "failed(unsupported-required)"},
			{"a state of a subscription that is not", state(func(s *wire.SubState) { s.Sub = wire.SubID{9} }), "silence"},
			{"a grant for longer than there may be one", state(func(s *wire.SubState) { s.Grant.NotAfter = s.Grant.NotBefore.Add(wire.GrantLife + time.Millisecond) }), "failed(malformed)"},
			{"a grant that ends before it begins", state(func(s *wire.SubState) { s.Grant.NotAfter = s.Grant.NotBefore - 1 }), "failed(malformed)"},
			{"a grant that requires an extension", state(func(s *wire.SubState) { s.Grant.Ext = must }), "failed(unsupported-required)"},
			{"a next grant that requires a field", state(func(s *wire.SubState) { s.Next = &wire.Grant{Unknown: later, Crit: []uint32{100}} }), "failed(unsupported-required)"},
			{"a state that requires an extension", state(func(s *wire.SubState) { s.Ext = must }), "failed(unsupported-required)"},
			{"a state that nobody signed", signed(state(func(*wire.SubState) {}), asIs), "failed(bad-signature)"},
			{"a state", state(func(s *wire.SubState) { s.Seq = now() + 100 }), "delivered"},
		} {
			if got := said(x.make()); got != x.want {
				t.Errorf("%s: %s, not %s", x.what, got, x.want)
			}
		}
		if got := bob.inbox(); strings.Join(got, ",") != "hello" {
			t.Errorf("bob has %q", got)
		}
		if !slices.ContainsFunc(c.states(bob), func(s wire.SubState) bool { return s.State == wire.SubPending }) {
			t.Error("the right request was not answered")
		}
	})
}
