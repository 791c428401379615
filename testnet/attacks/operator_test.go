package attacks

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/hum-presence/hum/node/host"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// An operator runs a community's node.
type operator struct {
	*host.Host
	s  *stage
	ip string
}

// operator starts the node of a community; it is anchor and mailbox, and no relay.
func (s *stage) operator(name string) *operator {
	s.t.Helper()
	o, clock := &operator{s: s, ip: s.ip()}, testnet.NewClock()
	h, err := host.Open(host.Config{Home: filepath.Join(s.dir, name), Name: name, Roles: wire.RoleBootstrap | wire.RoleAnchor | wire.RoleMailbox | wire.RoleHome,
		Clock: clock.Now, Rand: entropy(name, 1), Net: p2p.Config{Host: s.net.Host(o.ip)}})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	<-h.Ready()
	o.Host = h
	s.ends = append(s.ends, func() {
		cancel()
		if err := errors.Join(<-ended, h.Close()); err != nil {
			s.t.Error(err)
		}
	})
	return o
}

// token makes whoever shows it a member.
func (o *operator) token() []byte {
	o.s.t.Helper()
	inv, err := o.Invite(1, time.Hour)
	if err != nil {
		o.s.t.Fatal(err)
	}
	return inv.ID.Member([16]byte{1})
}

// joins makes a machine a member.
func (m *machine) joins(o *operator) {
	m.s.t.Helper()
	inv, err := o.Invite(1, time.Hour)
	if err == nil {
		_, err = m.Join(context.Background(), inv.String())
	}
	if err != nil {
		m.s.t.Fatal(err)
	}
}

// dialAt opens a stream to a community's node.
func (x *stranger) dialAt(o *operator, proto protocol.ID) *line {
	x.s.t.Helper()
	info, err := peer.AddrInfoFromString(o.Listening()[0])
	if err != nil {
		x.s.t.Fatal(err)
	}
	l, err := x.openTo(*info, proto)
	if err != nil {
		x.s.t.Fatal(err)
	}
	return l
}
