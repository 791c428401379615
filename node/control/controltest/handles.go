package controltest

import (
	"context"

	"github.com/hum-presence/hum/node"
)

func handle(name string) node.HandleFace {
	return node.HandleFace{Handle: name, Address: Me, URL: "https://example.org/.well-known/hum/v1/aaaa", JSON: `{"address":"hum1…"}`,
		DNSName: "_hum.aaaa.example.org", TXT: []string{"hum1…"}, State: "waiting", Detail: "example.org names nobody " + name}
}

// AddHandle has the domain still to say so.
func (f *Fake) AddHandle(_ context.Context, name string) (node.HandleFace, error) {
	return handle(name), f.asked("AddHandle", name)
}

// RemoveHandle returns the name that was taken away.
func (f *Fake) RemoveHandle(_ context.Context, name string) (node.HandleFace, error) {
	return node.HandleFace{Handle: name, Address: Me}, f.asked("RemoveHandle", name)
}

// ForgetHandle returns the name of Bob that was forgotten.
func (f *Fake) ForgetHandle(_ context.Context, name string) (node.HandleFace, error) {
	return node.HandleFace{Handle: name, Address: Bob}, f.asked("ForgetHandle", name)
}

// Handles are one that is vouched for, and one that waits.
func (f *Fake) Handles(context.Context) ([]node.HandleFace, error) {
	vouched := handle("me@example.org")
	vouched.State, vouched.Detail = "vouched", "example.org says so by HTTPS"
	return []node.HandleFace{vouched, handle("me@example.net")}, f.asked("Handles")
}
