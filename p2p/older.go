package p2p

import (
	"context"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// answerTime is how long an older connection may take to answer once its peer has connected again.
const answerTime = 2 * time.Second

// come asks on the older connections of a peer that has connected once more. A machine whose power was cut
// says nothing on those it had: they stand until the system gives them up, and what is sent on them hangs
// that long, though the peer is there again. An older one that answers stays, since dials may cross.
func (p *peers) come(_ network.Network, c network.Conn) {
	if c.Stat().Limited {
		p.n.circuits.any.Store(true)
	}
	for _, older := range p.n.host.Network().ConnsToPeer(c.RemotePeer()) {
		if older == c {
			continue
		}
		p.n.spawn(func(ctx context.Context) {
			if !answers(ctx, older) {
				p.n.log.Debug("an older connection is dead", "peer", c.RemotePeer())
				_ = older.Close()
			}
		})
	}
}

// hello is what each side of a new stream says first (multistream-select 1.0).
const hello = "\x13/multistream/1.0.0\n"

// answers reports whether the other end of a connection is there: it answers the hello of a stream.
func answers(ctx context.Context, c network.Conn) bool {
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "hum"), answerTime)
	defer cancel()
	s, err := c.NewStream(ctx)
	if err != nil {
		return false
	}
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	if _, err := io.WriteString(s, hello); err != nil {
		return false
	}
	_, err = io.ReadFull(s, make([]byte, 1))
	return err == nil
}
