package node

import (
	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/store"
)

// exportWinfo returns the list of watchers as RFC 3858 has it: the whole of it, under a version that rises
// with each export.
func (n *Node) exportWinfo() (Export, error) {
	if err := n.needPresence(); err != nil {
		return Export{}, err
	}
	info, err := n.watcherInfo()
	if err != nil {
		return Export{}, err
	}
	doc := formats.Winfo{Resource: info.Resource.Pres()}
	for _, s := range info.Watchers {
		row := formats.Watcher{URI: s.Address.Pres(), ID: s.ID.String() + "." + s.Address.String(), Status: s.Winfo, Event: s.Event,
			Name: s.Petname, Subscribed: info.At.Sub(s.Began)}
		if !s.Expires.IsZero() {
			row.Expiration = s.Expires.Sub(info.At)
		}
		doc.Watchers = append(doc.Watchers, row)
	}
	err = n.update(func(t *txn) error {
		next, _, err := find[uint64](t, store.Meta("winfo"))
		doc.Version = next
		if err != nil {
			return err
		}
		return put(t, store.Meta("winfo"), next+1)
	})
	return Export{Type: formats.TypeWinfo, Content: doc.Append(nil), Entity: doc.Resource}, saveError(n.cfg.Home, err)
}
