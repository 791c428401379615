package presence

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hum-presence/hum/p2p/wire"
)

func fetch(req byte, d time.Duration) wire.Fetch {
	return wire.Fetch{From: alice, To: bob, Req: wire.ReqID{req}, At: start.Add(d)}
}

func may(h Handling) FetchFacts {
	return FetchFacts{Handling: h, Service: true, PlaceFree: true, View: DefaultView}
}

func TestFetch(t *testing.T) {
	const again = 20 * minute
	first := func(h Handling) func() *Fetcher {
		return func() *Fetcher {
			w, _ := Fetch(at(0), nil, fetch(1, 0), desk, may(h))
			return &w
		}
	}
	none := func() *Fetcher { return nil }
	tests := []struct {
		name  string
		held  func() *Fetcher
		req   byte
		at    time.Duration // of the Fetch
		comes time.Duration
		facts func(*FetchFacts)
		want  FetchAnswer
	}{
		{"first, allowed", none, 2, again, again, nil, FetchAnswer{Kind: Sign, State: wire.FetchOK, Keep: true, News: true}},
		{"first, to confirm", none, 2, again, again, func(f *FetchFacts) { f.Handling = Confirm }, FetchAnswer{Kind: Sign, State: wire.FetchPending, Keep: true, News: true}},
		{"first, blocked", none, 2, again, again, func(f *FetchFacts) { f.Handling = Block },
			FetchAnswer{Kind: Sign, State: wire.FetchDenied, Reason: wire.ReasonPolicy, Keep: true, News: true}},
		{"politely blocked", none, 2, again, again, func(f *FetchFacts) { f.Handling = PoliteBlock }, FetchAnswer{Kind: Sign, State: wire.FetchOK, Keep: true, News: true}},
		{"no place to wait", none, 2, again, again, func(f *FetchFacts) { f.Handling, f.PlaceFree = Confirm, false },
			FetchAnswer{Kind: Sign, State: wire.FetchDenied, Reason: wire.ReasonRateLimited, Keep: true, News: true}},
		{"no presence here", none, 2, again, again, func(f *FetchFacts) { f.Service = false },
			FetchAnswer{Kind: Sign, State: wire.FetchDenied, Reason: wire.ReasonNoPresenceService}},
		{"no presence here, and far too old", none, 2, 0, again, func(f *FetchFacts) { f.Service = false },
			FetchAnswer{Kind: Sign, State: wire.FetchDenied, Reason: wire.ReasonNoPresenceService}},
		{"from the future", none, 2, again + 121*time.Second, again, nil, FetchAnswer{Kind: Refuse, Reason: wire.ReasonTime}},
		{"from as far ahead as clocks may differ", none, 2, again + 120*time.Second, again, nil, FetchAnswer{Kind: Sign, State: wire.FetchOK, Keep: true, News: true}},
		{"ten minutes old", none, 2, again - 10*minute, again, nil, FetchAnswer{Kind: Sign, State: wire.FetchOK, Keep: true, News: true}},
		{"older than ten minutes", none, 2, again - 10*minute - time.Millisecond, again, nil, FetchAnswer{}},
		{"requires the unknown", none, 2, again, again, func(f *FetchFacts) { f.Unsupported = true }, FetchAnswer{Kind: Refuse, Reason: wire.ReasonUnsupportedRequired}},
		{"blocked, and requires the unknown", none, 2, again, again, func(f *FetchFacts) { f.Unsupported, f.Handling = true, Block },
			FetchAnswer{Kind: Sign, State: wire.FetchDenied, Reason: wire.ReasonPolicy, Keep: true, News: true}},
		{"once more", first(Allow), 2, again, again, nil, FetchAnswer{Kind: Sign, State: wire.FetchOK, Keep: true}},
		{"once more, and now allowed", first(Confirm), 2, again, again, nil, FetchAnswer{Kind: Sign, State: wire.FetchOK, Keep: true, News: true}},
		{"once more within the minute", first(Allow), 2, 59 * time.Second, 59 * time.Second, nil, FetchAnswer{}},
		{"once more after the minute", first(Allow), 2, minute, minute, nil, FetchAnswer{Kind: Sign, State: wire.FetchOK, Keep: true}},
		{"the same again within the minute, from another device", func() *Fetcher { w := first(Allow)(); w.Device = phone; return w }, 1, 0, 59 * time.Second, nil, FetchAnswer{}},
		{"the same again within the minute", first(Allow), 1, 0, 59 * time.Second, nil, FetchAnswer{Kind: Resend}},
		{"the same again within the minute, and now blocked", first(Allow), 1, 0, 59 * time.Second, func(f *FetchFacts) { f.Handling = Block }, FetchAnswer{Kind: Resend}},
		{"the same again, politely blocked", first(PoliteBlock), 1, 0, 59 * time.Second, func(f *FetchFacts) { f.Handling = PoliteBlock }, FetchAnswer{Kind: Resend}},
		{"the same again after the minute", first(Allow), 1, 0, minute, nil, FetchAnswer{}},
		{"the same again", first(Allow), 1, 5 * minute, 5 * minute, nil, FetchAnswer{}},
		{"the same bytes again", first(Allow), 1, 0, 5 * minute, nil, FetchAnswer{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := may(Allow)
			if test.facts != nil {
				test.facts(&f)
			}
			if test.want.Kind != Silent {
				test.want.Wait = wire.AnswerDelay
			}
			held := test.held()
			w, got := Fetch(at(test.comes), held, fetch(test.req, test.at), desk, f)
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if held != nil && !got.Keep && !reflect.DeepEqual(w, *held) {
				t.Errorf("it leaves %+v of %+v", w, *held)
			}
			if got.Keep && (w.Device != desk || w.State != got.State || w.Asked != at(test.comes).Wall || w.View != DefaultView) {
				t.Errorf("kept: %+v", w)
			}
			if held != nil && w.ID != held.ID {
				t.Error("he is named anew")
			}
		})
	}
}

func TestFetchesAreCounted(t *testing.T) {
	var w *Fetcher
	for i, h := range []Handling{Confirm, Block, Allow, Allow, PoliteBlock} {
		x, a := Fetch(at(time.Duration(i)*minute), w, fetch(byte(i), time.Duration(i)*minute), phone, may(h))
		if a.Kind != Sign {
			t.Fatalf("fetch %d is answered %v", i, a.Kind)
		}
		w = &x
	}
	if w.Count != 3 || w.Turned != 2 || w.Began != start || w.Got != at(4*minute).Wall || w.ID != (wire.ReqID{0}) {
		t.Errorf("counted %+v", *w)
	}
}

// Whatever is done to my clock, no Fetch is answered twice, and after the clock is right again the next
// one is answered.
func TestNoFetchIsAnsweredTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var held *Fetcher
		var sent []wire.Fetch
		answered := map[wire.ReqID]int{}
		real, off, heard := time.Duration(0), time.Duration(0), start
		take := func(r wire.Fetch) AnswerKind {
			now := stepped(at(real), off)
			now.Heard = heard
			x, a := Fetch(now, held, r, phone, may(Allow))
			if a.Kind == Sign {
				answered[r.Req]++
			}
			if a.Keep {
				held = &x
			}
			return a.Kind
		}
		fresh := func() wire.Fetch {
			r := wire.Fetch{From: alice, To: bob, Req: wire.ReqID{byte(len(sent)), byte(len(sent) >> 8)}, At: start.Add(real)}
			sent = append(sent, r)
			return r
		}
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				take(fresh())
			case 1:
				if len(sent) > 0 {
					take(sent[rapid.IntRange(0, len(sent)-1).Draw(t, "replay")])
				}
			case 2:
				off = time.Duration(rapid.IntRange(-300, 300).Draw(t, "clock")) * 10 * time.Second
			case 3:
				heard = max(heard, start.Add(real)) // somebody with a right clock was heard
			case 4:
				real += time.Duration(rapid.IntRange(1, 900).Draw(t, "pass")) * time.Second
			}
		}
		for r, n := range answered {
			if n > 1 {
				t.Fatalf("%x was answered %d times", r[:2], n)
			}
		}
		if held != nil && len(held.Answered) > maxMarks {
			t.Fatalf("%d marks", len(held.Answered))
		}
		off, real = 0, real+2*time.Hour // clocks were at most 50 minutes ahead
		heard = max(heard, start.Add(real))
		take(fresh()) // a stamp of the wrong time may be in its way once
		real += 2 * minute
		if got := take(fresh()); got != Sign {
			t.Fatalf("with clocks right again a Fetch is answered %v; held %+v", got, held)
		}
	})
}

func TestFetcherIsDecided(t *testing.T) {
	wait, _ := Fetch(at(0), nil, fetch(1, 0), phone, may(Confirm))
	if s, e := wait.Winfo(); s != WatcherWaiting || e != Timeout || !wait.Waits() {
		t.Errorf("who waits is %v, %v", s, e)
	}
	for _, want := range []Event{Approved, Rejected, Deactivated} {
		w := wait
		if !w.Decide(at(hour), want) || w.Event != want || w.Waits() || w.Since != at(hour).Wall {
			t.Errorf("%v: %+v", want, w)
		}
		if s, e := w.Winfo(); s != WatcherTerminated || e != want {
			t.Errorf("%v: %v, %v", want, s, e)
		}
		if w.Decide(at(hour), Approved) {
			t.Error("he is decided twice")
		}
		if x, _ := Fetch(at(hour), &w, fetch(2, hour), phone, may(Allow)); x.Event != 0 || x.Count != 1 {
			t.Errorf("once he asked again: %+v", x)
		}
	}
	done, _ := Fetch(at(0), nil, fetch(1, 0), phone, may(Allow))
	if done.Decide(at(hour), Rejected) {
		t.Error("who got what he wanted is decided")
	}
	if s, e := done.Winfo(); s != WatcherTerminated || e != Timeout {
		t.Errorf("who was shown is %v, %v", s, e)
	}
	if !wait.Over(at(31*day)) || wait.Over(at(29*day)) || wait.Over(unheard(31*day)) || done.Over(at(300*day)) {
		t.Error("who is forgotten when")
	}
	late, _ := Fetch(at(hour), nil, fetch(1, hour), phone, may(Confirm))
	list := []Fetcher{done, late, wait}
	slices.SortFunc(list, Fetcher.Yields)
	if list[0].Asked != wait.Asked || list[1].Asked != late.Asked || list[2].Count != 1 {
		t.Error("the wrong one gives way")
	}
}

func docOf(d DeviceID, b wire.Basic) []byte {
	return wire.Doc{Entity: bob, Device: d, Ver: 3, TTL: 150, Tuples: []wire.Tuple{{ID: "im", Basic: b, IM: wire.Away, Timestamp: start}}, Notes: []wire.Note{{Text: "here"}}}.Append(nil)
}

func reply(now Now, s wire.FetchCode, docs ...[]byte) wire.FetchReply {
	return wire.FetchReply{From: bob, To: alice, Req: wire.ReqID{7}, State: s, AsOf: now.Wall, Docs: docs}
}

// fetched is what alice holds after bob's answer.
func fetched(t *testing.T, now Now, s wire.FetchCode, docs ...[]byte) Fetched {
	t.Helper()
	f := Fetched{Me: alice, Of: bob}
	f.Asks(now, wire.ReqID{7}, 0)
	if bad, err := f.Answer(now, reply(now, s, docs...), devices(phone, desk)); err != nil || bad != 0 {
		t.Fatal(bad, err)
	}
	return f
}

func devices(all ...DeviceID) Speakers {
	return func(d DeviceID) (Scope, bool) { return Scope{}, slices.Contains(all, d) }
}

func TestFetchReply(t *testing.T) {
	stranger := wire.Doc{Entity: carol, Device: phone, Ver: 1, TTL: 150}.Append(nil)
	crit := wire.Doc{Entity: bob, Device: desk, Ver: 1, TTL: 150, Crit: []uint32{100}, Unknown: []wire.Unknown{{Number: 100, Raw: []byte{0xa0, 6, 1}}}}.Append(nil)
	tests := []struct {
		name string
		edit func(*wire.FetchReply)
		docs int
		bad  int
		err  error
	}{
		{"two devices", nil, 2, 0, nil},
		{"somebody else's", func(r *wire.FetchReply) { r.From = carol }, 0, 0, ErrNotMine},
		{"to somebody else", func(r *wire.FetchReply) { r.To = carol }, 0, 0, ErrNotMine},
		{"to another question", func(r *wire.FetchReply) { r.Req[1] = 1 }, 0, 0, ErrNotMine},
		{"from the future", func(r *wire.FetchReply) { r.AsOf = start.Add(hour) }, 0, 0, ErrAhead},
		{"a state of nobody", func(r *wire.FetchReply) { r.State = 4 }, 0, 0, ErrState},
		{"a document of another", func(r *wire.FetchReply) { r.Docs[0] = stranger }, 1, 1, nil},
		{"a document of no publisher", func(r *wire.FetchReply) { r.Docs[0] = docOf(DeviceID{9}, wire.Open) }, 1, 1, nil},
		{"one device twice", func(r *wire.FetchReply) { r.Docs[1] = r.Docs[0] }, 1, 1, nil},
		{"one that requires the unknown", func(r *wire.FetchReply) { r.Docs[1] = crit }, 1, 1, nil},
		{"one that is none", func(r *wire.FetchReply) { r.Docs[1] = []byte{1} }, 1, 1, nil},
		{"none", func(r *wire.FetchReply) { r.Docs = nil }, 0, 0, nil},
		{"refused, with documents all the same", func(r *wire.FetchReply) { r.State, r.Reason = wire.FetchDenied, wire.ReasonPolicy }, 0, 0, nil},
		{"waiting", func(r *wire.FetchReply) { r.State = wire.FetchPending }, 0, 0, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			now := at(0)
			f := Fetched{Me: alice, Of: bob, Docs: []Known{{Device: phone}}}
			f.Asks(now, wire.ReqID{7}, 0)
			r := reply(now, wire.FetchOK, docOf(phone, wire.Closed), docOf(desk, wire.Open))
			if test.edit != nil {
				test.edit(&r)
			}
			bad, err := f.Answer(now, r, devices(phone, desk))
			if !errors.Is(err, test.err) || bad != test.bad {
				t.Fatalf("got %d, %v", bad, err)
			}
			if err != nil {
				check(t, "documents kept", len(f.Docs), 1)
				return
			}
			check(t, "documents", len(f.Docs), test.docs)
			check(t, "state", f.State, r.State)
			if _, err := f.Answer(now, r, devices(phone, desk)); !errors.Is(err, ErrNotMine) {
				t.Errorf("the same again: %v", err)
			}
			if f.Pause(at(20*time.Second)) != 40*time.Second || f.Pause(at(minute)) != 0 || f.Pause(stepped(now, -hour)) != 0 {
				t.Error("when to ask again")
			}
		})
	}
}

func TestFetchedIsShown(t *testing.T) {
	tests := []struct {
		name  string
		docs  [][]byte
		now   Now
		fresh bool
		basic wire.Basic
		by    Evidence
	}{
		{"just now, open", [][]byte{docOf(phone, wire.Closed), docOf(desk, wire.Open)}, at(0), true, wire.Open, Said},
		{"just now, closed", [][]byte{docOf(phone, wire.Closed)}, at(0), true, wire.Closed, Said},
		{"just now, nothing", nil, at(0), true, 0, Unknown},
		{"two minutes ago", [][]byte{docOf(phone, wire.Open)}, at(2 * minute), false, wire.Open, Cached},
		{"three minutes ago", [][]byte{docOf(phone, wire.Open)}, at(3 * minute), false, 0, Cached},
		{"yesterday, closed", [][]byte{docOf(phone, wire.Closed)}, at(day), false, 0, Cached},
		{"my clock went back", [][]byte{docOf(phone, wire.Open)}, stepped(at(day), -2*day), false, 0, Cached},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := fetched(t, at(0), wire.FetchOK, test.docs...)
			s := f.Shown(test.now, test.fresh)
			if s.Basic != test.basic || s.Evidence != test.by || len(s.Why) == 0 {
				t.Errorf("shown %+v", s)
			}
			if len(test.docs) > 0 && (s.AsOf != start || s.Notes[0].Text != "here" || len(s.Tuples) == 0) {
				t.Errorf("shown %+v", s)
			}
		})
	}
}
