package p2p

import (
	"context"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// Net is one node's presence on the network.
type Net struct{}

func ParseDial(text string) (PeerID, []byte, error)                { return "", nil, ErrBadAddr }
func DialText(p PeerID, addr []byte) string                        { return "" }
func AddrText(addr []byte) string                                  { return "" }
func (p PeerID) String() string                                    { return "" }
func Open(c Config) (*Net, error)                                  { return nil, ErrClosed }
func (n *Net) Run(ctx context.Context, h Handler) error            { return ErrClosed }
func (n *Net) Close() error                                        { return nil }
func (n *Net) Self() PeerID                                        { return "" }
func (n *Net) Addrs() [][]byte                                     { return nil }
func (n *Net) Listening() []string                                 { return nil }
func (n *Net) Keep(p PeerID, addrs [][]byte, role KeepRole)        {}
func (n *Net) Forget(p PeerID)                                     {}
func (n *Net) Nudge()                                              {}
func (n *Net) Connected(p PeerID) (up, limited bool)               { return false, false }
func (n *Net) Push(p PeerID, parcel []byte) bool                   { return false }
func (n *Net) Ack(ctx context.Context, p PeerID, box []byte) error { return ErrClosed }
func (n *Net) Serve(e PublicKey, until Time) error                 { return ErrClosed }
func (n *Net) Unserve(e PublicKey)                                 {}
func (n *Net) Publish(e PublicKey, r wire.Rec) error               { return ErrClosed }
func (n *Net) Follow(e PublicKey, at []PeerID) error               { return ErrClosed }
func (n *Net) Unfollow(e PublicKey, leaveAfter Time)               {}
func (n *Net) Path(e PublicKey) PathState                          { return PathState{} }
func (n *Net) Audience(e PublicKey) (topicPeers, streams int)      { return 0, 0 }
func (n *Net) Stats() Stats                                        { return Stats{} }
func (n *Net) Records(ctx context.Context, p PeerID, a wire.Address) (wire.Bundle, error) {
	return wire.Bundle{}, ErrClosed
}
func (n *Net) Send(ctx context.Context, p PeerID, parcel []byte) (wire.FrameStatus, time.Duration, error) {
	return 0, 0, ErrClosed
}
func (n *Net) Get(ctx context.Context, p PeerID, e PublicKey) ([]wire.Rec, Time, error) {
	return nil, 0, ErrClosed
}
