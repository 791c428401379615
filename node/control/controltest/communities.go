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

// Private returns what private mode is.
func (f *Fake) Private(context.Context) (node.Privacy, error) {
	return node.Privacy{Visible: []string{"everything"}}, f.asked("Private")
}

// SetPrivate returns what it would be, without starting anew.
func (f *Fake) SetPrivate(_ context.Context, on bool) (node.Privacy, error) {
	return node.Privacy{Private: on, Visible: []string{"Example: the IP address of this machine"}, Costs: []string{"everything takes the way through Example"}}, f.asked("SetPrivate", on)
}

// JoinAny returns the community of the first invite; the others wait.
func (f *Fake) JoinAny(_ context.Context, invites []string) (node.Community, int, error) {
	return community(), len(invites) - 1, f.asked("JoinAny", invites)
}
