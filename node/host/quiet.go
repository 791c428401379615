package host

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
)

// Quiet passes a log on without what could tell who somebody is or where: peer ids, addresses of people, multiaddrs,
// IP addresses, keys, tokens and names of topics. A community node sees all of these, and an operator needs none to
// run it; what a log does not hold nobody can be made to hand over. The same applies to what libraries write.
func Quiet(h slog.Handler) slog.Handler { return quiet{h} }

type quiet struct{ slog.Handler }

// locators are the forms in which somebody, or his place, may stand in a text. The longer ones come first.
var locators = regexp.MustCompile(`(?i)(hum(join|dev|sec1|1|:)\S*` + // addresses, cards, invites
	`|/(ip4|ip6|ip6zone|dns|dns4|dns6|dnsaddr|p2p|tcp|udp)/[^\s"',;)\]}]+` + // multiaddrs
	`|\b(12D3Koo|16Uiu2|Qm)[1-9A-HJ-NP-Za-km-z]{8,}` + // peer ids
	`|/hum/1/p/\S+` +
	`|\b[0-9a-f]{24,}\b` + // binary in hex
	`|[A-Za-z0-9_-]{40,}` + // the same in base64 or base32
	`|\[?[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,7}(%\w+)?\]?(:\d+)?` + // IPv6
	`|\b\d{1,3}(\.\d{1,3}){3}(:\d+)?)`) // IPv4

const hiddenWord = "(hidden)"

func scrub(s string) string { return locators.ReplaceAllString(s, hiddenWord) }

// named are the attributes that only ever hold what must not be written.
var named = map[string]bool{"peer": true, "addr": true, "from": true, "to": true, "key": true, "topic": true}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, scrub(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(quietly(a))
		return true
	})
	return q.Handler.Handle(ctx, out)
}

func (q quiet) WithAttrs(list []slog.Attr) slog.Handler {
	for i, a := range list {
		list[i] = quietly(a)
	}
	return quiet{q.Handler.WithAttrs(list)}
}

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

func quietly(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		var inner []slog.Attr
		for _, a := range v.Group() {
			inner = append(inner, quietly(a))
		}
		a.Value = slog.GroupValue(inner...)
	case slog.KindString, slog.KindAny:
		if a.Value = slog.StringValue(hiddenWord); !named[a.Key] {
			a.Value = slog.StringValue(scrub(fmt.Sprint(v.Any())))
		}
	default: // numbers, times
	}
	return a
}
