package formats

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Winfo is watcher information (RFC 3857, RFC 3858): who watches a presentity, and who asked.
type Winfo struct {
	Version  uint64 // from 0; one more in each document of a series
	Resource string // URI of the presentity
	Watchers []Watcher
}

// A Watcher is one row of it.
type Watcher struct {
	URI        string
	ID         string        // of the subscription; unique in the document
	Status     string        // pending, active, waiting, terminated
	Event      string        // what led there: subscribe, approved, deactivated, probation, rejected, timeout, giveup, noresource
	Name       string        // to be shown, or ""
	Subscribed time.Duration // since he subscribed
	Expiration time.Duration // until the subscription ends; 0: not told
}

var (
	watcherStatus = strings.Fields("pending active waiting terminated")
	watcherEvents = strings.Fields("subscribe approved deactivated probation rejected timeout giveup noresource")
)

// Append appends the document, all of it each time (state full). A row with a status or event that RFC
// 3858 does not have is left out.
func (i Winfo) Append(b []byte) []byte {
	w := &writer{}
	w.within("watcher-list", func() {
		for _, row := range i.Watchers {
			if !slices.Contains(watcherStatus, row.Status) || !slices.Contains(watcherEvents, row.Event) || !IsURI(row.URI) {
				continue
			}
			w.leaf("watcher", row.URI, "status", row.Status, "event", row.Event, "id", row.ID, "display-name", row.Name,
				"expiration", seconds(row.Expiration), "duration-subscribed", seconds(row.Subscribed))
		}
	}, "resource", i.Resource, "package", "presence")
	return append(b, w.document("watcherinfo", nsWinfo, "version", strconv.FormatUint(i.Version, 10), "state", "full")...)
}

// seconds writes whole seconds, nothing if there are none.
func seconds(d time.Duration) string {
	if d < time.Second {
		return ""
	}
	return strconv.FormatInt(int64(d/time.Second), 10)
}
