package names_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/domains"
)

// A thousand domains have a bob each (requirement 2.1.5): nobody was told of any of them before, each names its own, and
// nobody is asked but the domain of the name. Every tenth says it by HTTPS, the others in DNS.
func TestReq_2_1_5_AThousandDomains(t *testing.T) {
	const many = 1000
	s := domains.Start(t)
	r := names.New(names.Config{DNS: s.DNS, Roots: s.Roots, Dial: s.Dial})
	handles, bobs := make([]wire.Handle, many), make([]identity.Address, many)
	for i := range many {
		h, err := wire.ParseHandle(fmt.Sprintf("bob@d%03d.test", i))
		if err != nil {
			t.Fatal(err)
		}
		var seed [32]byte
		binary.BigEndian.PutUint32(seed[:], uint32(i))
		handles[i], bobs[i] = h, identity.Address(identity.NewSigningKey(seed).Public())
		d := &domains.Domain{TXT: map[string][]string{h.DNSName(): {bobs[i].String()}}}
		if i%10 == 0 {
			d = &domains.Domain{Web: map[string]http.Handler{h.Path(): domains.Says(page(bobs[i]))}}
		}
		s.Set(h.Domain, d)
	}
	var all sync.WaitGroup
	const askers = 4
	for first := range askers {
		all.Go(func() {
			for i := first; i < many; i += askers {
				got, err := r.Look(t.Context(), handles[i])
				if err != nil || got.Address != bobs[i] || got.HTTPS != (i%10 == 0) {
					t.Errorf("%s: %+v, %v", handles[i], got, err)
				}
			}
		})
	}
	all.Wait()
	asked := map[string]bool{}
	for _, a := range s.Asked() {
		for _, part := range strings.FieldsFunc(a, func(c rune) bool { return c == ' ' || c == '/' }) {
			if i := strings.LastIndex(strings.TrimSuffix(part, ".test"), "."); strings.HasSuffix(part, ".test") {
				asked[part[i+1:]] = true
			}
		}
	}
	if len(asked) != many {
		t.Errorf("%d domains were asked", len(asked))
	}
}
