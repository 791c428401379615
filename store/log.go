package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// badgerLog passes badger's warnings on as they are, and its news as details.
func badgerLog(l *slog.Logger) badger.Logger {
	if l == nil {
		return nil
	}
	return logAdapter{l}
}

type logAdapter struct{ l *slog.Logger }

func (a logAdapter) Errorf(f string, args ...any)   { a.log(slog.LevelError, f, args) }
func (a logAdapter) Warningf(f string, args ...any) { a.log(slog.LevelWarn, f, args) }
func (a logAdapter) Infof(f string, args ...any)    { a.log(slog.LevelDebug, f, args) }
func (a logAdapter) Debugf(string, ...any)          {} // several lines for each write

func (a logAdapter) log(level slog.Level, f string, args []any) {
	if ctx := context.Background(); a.l.Enabled(ctx, level) {
		a.l.Log(ctx, level, "badger: "+strings.TrimSpace(fmt.Sprintf(f, args...)))
	}
}
