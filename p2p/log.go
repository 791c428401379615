package p2p

import (
	"context"
	"log/slog"

	"github.com/libp2p/go-libp2p/gologshim"
)

// LogTo has the libraries below write to l, as details: they would write to stderr by themselves, and what is an
// error to them is an ordinary event here. It is for a whole process, and to be called before [Open].
func LogTo(l *slog.Logger) { gologshim.SetDefaultHandler(details{l.Handler()}) }

// details takes every record as one of level debug.
type details struct{ slog.Handler }

func (d details) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d details) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return nil
	}
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

func (d details) WithAttrs(list []slog.Attr) slog.Handler { return details{d.Handler.WithAttrs(list)} }
func (d details) WithGroup(name string) slog.Handler      { return details{d.Handler.WithGroup(name)} }
