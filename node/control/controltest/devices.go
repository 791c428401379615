package controltest

import (
	"context"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
)

// Devices returns the device that answers, one more, and one that was removed.
func (f *Fake) Devices(context.Context) ([]node.Device, error) {
	return []node.Device{
		{ID: identity.DeviceID{1}, Roles: []string{"admin", "inbox", "publisher"}, This: true, Online: true, Since: Start},
		secondDevice(), {ID: identity.DeviceID{3}, Roles: []string{"inbox"}, Since: Start, Revoked: Start.Add(time.Minute)},
	}, f.asked("Devices")
}

func secondDevice() node.Device {
	return node.Device{ID: identity.DeviceID{2}, Roles: []string{"inbox", "publisher"}, Since: Start}
}

// AddDevice returns the second device.
func (f *Fake) AddDevice(_ context.Context, d node.NewDevice) (node.Device, error) {
	return secondDevice(), f.asked("AddDevice", d)
}

// RevokeDevice returns the second device, removed.
func (f *Fake) RevokeDevice(_ context.Context, id string) (node.Device, error) {
	d := secondDevice()
	d.Revoked = Start.Add(time.Minute)
	return d, f.asked("RevokeDevice", id)
}
