package requirements

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/host"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// An operator is somebody who runs a community node. Host is nil while it is off.
type operator struct {
	*host.Host
	w        *world
	name, ip string
	home     string
	clock    *testnet.Clock
	lives    int
	circuits p2p.Circuits // zero: as a community's are
	cancel   context.CancelFunc
	ended    chan error
	got      *tape
	lies     func(p2p.Custodian) p2p.Custodian // nil: he does not
	domain   string                            // whose names it keeps
	nodes    []*operator                       // others of the same community that it is told of
	log      *logTape                          // nil: what it would log is not kept
	meets    []*operator                       // DHT servers that it is told of
	roles    wire.CommunityRoles               // 0: all
	dht      []string                          // and those of nobody's community
}

func (w *world) operator(name string, options ...func(*operator)) *operator {
	w.Helper()
	o := &operator{w: w, name: name, ip: w.ip(), home: filepath.Join(w.dir, name), clock: testnet.NewClock(), got: &tape{}}
	for _, change := range options {
		change(o)
	}
	w.net.Capture(o.ip, o.got.add)
	o.up()
	w.ends = append(w.ends, func() {
		if o.Host != nil {
			o.down()
		}
	})
	return o
}

func (o *operator) up() {
	o.w.Helper()
	o.lives++
	o.clock.Restart()
	h, err := host.Open(host.Config{Home: o.home, Name: o.name, Roles: o.roles, Clock: o.clock.Now, Rand: randomOf(o.name, o.lives), Log: o.log.logger(), Between: o.lies, Net: p2p.Config{Host: o.w.host(o.ip), Circuits: o.circuits},
		Web: host.Web{Domains: o.domains()}, Nodes: listening(o.nodes), Meet: append(listening(o.meets), o.dht...)})
	o.w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	o.Host, o.cancel, o.ended = h, cancel, ended
	go func() { ended <- h.Run(ctx) }()
	<-h.Ready()
}

func (o *operator) down() {
	h := o.Host
	o.Host = nil
	o.cancel()
	if err := errors.Join(<-o.ended, h.Close()); err != nil {
		o.w.Errorf("%s ended: %v", o.name, err)
	}
}

func (o *operator) invite(uses uint32) string {
	o.w.Helper()
	inv, err := o.Invite(uses, 24*time.Hour)
	o.w.must(err)
	return inv.String()
}

func (p *person) enters(invite string) {
	p.w.Helper()
	_, err := p.Join(ctx(), invite)
	p.w.must(err)
}

// The custodians of a member who is away (requirements 2.3.7, 3.2.1, 3.3.1): his presence is answered for by an
// anchor, messages to him wait in a mailbox, shown as stored and never as delivered, and he has them when he is
// back; also if the community's node was restarted meanwhile. Nothing of it can be read there.
func TestReq_3_2_1_AwayInACommunity(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		invite := d.invite(2)
		bob.enters(invite)
		alice.enters(invite)
		mallory := w.person("mallory")
		if _, err := mallory.Join(ctx(), invite); code(err) != "denied" {
			t.Errorf("a third joins by an invite for two: %v", err)
		}
		alice.watch(bob)
		bob.note("marker-note")
		w.within(10*time.Second, "alice reads the note", func() bool { return alice.sees(bob).Note == "marker-note" })
		time.Sleep(10 * time.Second) // what is told to the anchor

		bob.down()
		w.within(30*time.Second, "alice sees that bob said he is gone", func() bool { return alice.sees(bob).Basic == "closed" })
		if got, err := alice.Fetch(ctx(), "bob", false); err != nil || got.Basic != "closed" || got.Evidence != "said" {
			t.Errorf("fetched with bob away: %+v, %v", got, err)
		}
		m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("marker-text"), Expires: 24 * time.Hour})
		alice.comesTo(m, "stored", time.Minute)
		time.Sleep(time.Hour)
		alice.comesTo(m, "stored", 0)
		d.down()
		d.up()
		time.Sleep(10 * time.Minute)
		alice.down() // so that nobody but the mailbox can give it to bob
		bob.up()
		w.within(20*time.Minute, "bob has it", func() bool { return bob.has("marker-text") == 1 })
		alice.up()
		alice.comesTo(m, "delivered", 20*time.Minute)
		time.Sleep(time.Minute)
		if n := bob.has("marker-text"); n != 1 {
			t.Errorf("bob has it %d times", n)
		}
		if st, err := d.Status(); err != nil || st.Members != 2 || st.Items != 0 {
			t.Errorf("the community holds %+v, %v", st, err)
		}
		w.finds("a topic on the tape", clean("tape", d.got.all(""), "/hum/1/p/"))
		bobKey, aliceKey := bob.Self().Address, alice.Self().Address
		for _, marker := range []string{"marker-text", "marker-note", addressOf(bob), addressOf(alice), string(bobKey[:]), string(aliceKey[:])} {
			w.must(clean("the tape of the community", d.got.all(""), marker))
		}
	})
}
