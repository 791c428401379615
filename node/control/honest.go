package control

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/p2p/wire"
)

// positive is d, or nothing.
func positive(d time.Duration) *durationpb.Duration {
	if d <= 0 {
		return nil
	}
	return durationpb.New(d.Truncate(time.Millisecond))
}

func costOf(c node.Cost) *humv1.Cost {
	return &humv1.Cost{Service: c.Service, In: c.In, Out: c.Out, InPerHour: c.InPerHour, OutPerHour: c.OutPerHour}
}

func basisOf(b *node.Basis) *humv1.Basis {
	if b == nil {
		return nil
	}
	out := &humv1.Basis{State: b.State, Heard: at(b.Heard), Expires: at(b.Expires), Path: b.Path, Direct: b.Direct,
		Clock: "ok", Devices: each(b.Devices, deviceBasisOf)}
	if b.Suspect {
		out.Clock = "suspect"
	}
	return out
}

func deviceBasisOf(d node.DeviceBasis) *humv1.DeviceBasis {
	out := &humv1.DeviceBasis{Device: device(d.Device), Basic: wire.Closed.String(), Version: d.Version, Said: at(d.Said), Last: at(d.Last),
		By: d.By, Left: positive(d.Left), Superseded: d.Skipped}
	if d.Open {
		out.Basic = wire.Open.String()
	}
	if d.By != "" {
		out.Ago = durationpb.New(d.Ago.Truncate(time.Millisecond))
	}
	return out
}

func measureOf(m node.Measure) *humv1.Measure {
	return &humv1.Measure{Name: text(m.Name), Value: text(m.Value)}
}

// measuresOf is nil if the client leaves them as they are.
func measuresOf(m *humv1.Measures) *[]node.Measure {
	if m == nil {
		return nil
	}
	out := []node.Measure{}
	for _, x := range m.List {
		out = append(out, node.Measure{Name: x.Name, Value: x.Value})
	}
	return &out
}
