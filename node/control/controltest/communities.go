package controltest

import (
	"context"

	"github.com/hum-presence/hum/node"
)

func community() node.Community {
	return node.Community{Name: "Example", Peer: "12D3KooWExample", Roles: []string{"relay", "anchor", "mailbox"}, Since: Start}
}

// Join returns the community of an invite.
func (f *Fake) Join(_ context.Context, invite string) (node.Community, error) {
	return community(), f.asked("Join", invite)
}

// Leave returns the community that was left.
func (f *Fake) Leave(_ context.Context, name string) (node.Community, error) {
	return community(), f.asked("Leave", name)
}
