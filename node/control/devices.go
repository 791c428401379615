package control

import (
	"context"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// DeviceBackend is the part of a [Backend] that knows the devices of its address.
type DeviceBackend interface {
	Devices(ctx context.Context) ([]node.Device, error)
	AddDevice(ctx context.Context, d node.NewDevice) (node.Device, error)
	RevokeDevice(ctx context.Context, id string) (node.Device, error)
}

func (s *service) Devices(ctx context.Context, _ *humv1.DevicesRequest) (*humv1.DevicesResponse, error) {
	return reply(func(l []node.Device) *humv1.DevicesResponse {
		return &humv1.DevicesResponse{Devices: each(l, deviceOf)}
	})(s.node.Devices(ctx))
}

func (s *service) AddDevice(ctx context.Context, r *humv1.AddDeviceRequest) (*humv1.Device, error) {
	d := node.NewDevice{Code: r.Code, Admin: r.Admin, Delegate: r.Delegate, Scope: r.Scope}
	if slices.Contains(r.Roles, "im") {
		d.Roles |= identity.RoleInbox
	}
	if slices.Contains(r.Roles, "presence") {
		d.Roles |= identity.RolePublisher
	}
	return reply(deviceOf)(s.node.AddDevice(ctx, d))
}

func (s *service) RevokeDevice(ctx context.Context, r *humv1.RevokeDeviceRequest) (*humv1.Device, error) {
	return reply(deviceOf)(s.node.RevokeDevice(ctx, r.Device))
}

func deviceOf(d node.Device) *humv1.Device {
	return &humv1.Device{Device: d.ID.String(), Roles: d.Roles, Scope: d.Scope, This: d.This, Online: d.Online, Since: at(d.Since), Revoked: at(d.Revoked)}
}
