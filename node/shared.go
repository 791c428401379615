package node

import (
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// sharings are the kinds of rows that my devices share, and how each is read and written.
func (n *Node) sharings() map[wire.SyncKind]sharing {
	return map[wire.SyncKind]sharing{
		wire.SyncView:     {keysOf(store.AllViews(), func(k store.Key) []byte { return []byte(k.Name()) }), n.viewValue, n.applyView},
		wire.SyncEpoch:    {n.epochKeys, n.epochValue, n.applyEpoch},
		wire.SyncWatcher:  {keysOf(store.AllWatchers(), watcherName), n.watcherValue, n.applyWatcher},
		wire.SyncSent:     {keysOf(store.AllOutbox(), midKey), n.sentValue, n.applySent},
		wire.SyncResult:   {keysOf(store.AllOutbox(), midKey), n.resultValue, n.applyResult},
		wire.SyncReceived: {keysOf(store.AllInbox(), midKey), n.receivedValue, n.applyReceived},
		wire.SyncRead:     {n.readKeys, n.readValue, n.applyRead},
		wire.SyncRule:     {n.ruleKeys, n.ruleValue, n.applyRule},
		wire.SyncContact:  {n.contactKeys, n.contactValue, n.applyContact},
		wire.SyncMailbox:  {n.joinedKeys, n.joinedValue, n.applyJoined},
		wire.SyncName:     {n.nameKeys, n.nameValue, n.applyName},
	}
}

// keysOf lists the rows of a table by the part of their keys that names them for all devices.
func keysOf(p store.Prefix, name func(store.Key) []byte) func(*txn) ([][]byte, error) {
	return func(t *txn) (out [][]byte, _ error) {
		for k := range t.Scan(p, store.ScanOptions{KeysOnly: true}) {
			out = append(out, name(k))
		}
		return out, nil
	}
}

func addressKey(k store.Key) []byte { a := k.Address(); return a[:] }

func addressOf(key []byte) (a identity.Address, err error) {
	if len(key) != len(a) {
		return a, errBadValue
	}
	return identity.Address(key), nil
}

// encoded returns the bytes by which a row is shared.
func encoded[T any](v T) ([]byte, bool, error) {
	b, err := rowMode.Marshal(v)
	return b, err == nil, err
}

func decoded[T any](b []byte) (v T, err error) {
	if cbor.Unmarshal(b, &v) != nil {
		return v, errBadValue
	}
	return v, nil
}

// classPrefix begins the key of what holds for a class, among those of rules: no address is so short.
const classPrefix = "default/"

func classKey(c policy.Class) []byte { return []byte(classPrefix + c.String()) }

// classOf is the class that a key names, false if it is that of a rule.
func classOf(key []byte) (policy.Class, bool) {
	word, ok := strings.CutPrefix(string(key), classPrefix)
	c, known := classCalled(word)
	return c, ok && known
}

func (n *Node) ruleKeys(t *txn) ([][]byte, error) {
	out, err := keysOf(store.AllRules(), addressKey)(t)
	for _, c := range policy.Classes() {
		out = append(out, classKey(c))
	}
	return out, err
}

// A rule is shared as it is kept; what it makes of those who watch follows from it on every device.
func (n *Node) ruleValue(t *txn, key []byte) ([]byte, bool, error) {
	if c, ok := classOf(key); ok {
		set, _, err := find[defaults](t, policyRow)
		d, ok := set[c.String()]
		if err != nil || !ok {
			return nil, false, err
		}
		return encoded(d)
	}
	a, err := addressOf(key)
	if err != nil {
		return nil, false, err
	}
	r, ok, err := find[policy.Rule](t, store.Rule(a))
	if !ok {
		return nil, false, err
	}
	return encoded(r)
}

func (n *Node) applyRule(t *txn, key, value []byte) error {
	if c, ok := classOf(key); ok {
		d, err := decoded[policy.Default](value)
		if err != nil {
			return err
		}
		return n.setDefault(t, c, d)
	}
	a, err := addressOf(key)
	if err != nil {
		return err
	}
	var r policy.Rule
	if value != nil {
		if r, err = decoded[policy.Rule](value); err != nil {
			return err
		}
	}
	return n.setRule(t, a, r)
}

// The name is what my cards suggest. The user writes it into the settings of one device; from then on it is
// that of all, until he writes another.
var (
	nameRow   = store.Meta("name")
	nameTaken = store.Meta("name-taken") // from the settings of this home
)

// takeName takes a name that is new in the settings, or the one that another device took from its own.
func (n *Node) takeName() error {
	return n.update(func(t *txn) error {
		taken, _, err := find[string](t, nameTaken)
		if err != nil {
			return err
		}
		if mine := n.settings.Name; mine != "" && mine != taken {
			if err := put(t, nameTaken, mine); err != nil {
				return err
			}
			if err := put(t, nameRow, mine); err != nil {
				return err
			}
			return n.share(t, wire.SyncName, []byte("name"))
		}
		name, ok, err := find[string](t, nameRow)
		if ok {
			n.self.Name = name
		}
		return err
	})
}

func (n *Node) nameKeys(t *txn) ([][]byte, error) { return [][]byte{[]byte("name")}, nil }

func (n *Node) nameValue(t *txn, _ []byte) ([]byte, bool, error) {
	name, _, err := find[string](t, nameRow)
	if err != nil || name == "" {
		return nil, false, err
	}
	return []byte(name), true, nil
}

func (n *Node) applyName(t *txn, _, value []byte) error { return put(t, nameRow, string(value)) }
