package requirements

import (
	"context"
	"sync"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
)

// A domainBook is the domains of a world: what each says of handles is what the community node says that keeps its
// names, unless somebody lies in its place.
type domainBook struct {
	mu    sync.Mutex
	keeps map[string]*operator
	lies  map[string]func(wire.Handle) (names.Answer, error)
	asked int
}

func (w *world) names() node.Names { return w.book() }

func (w *world) book() *domainBook {
	if w.says == nil {
		w.says = &domainBook{keeps: map[string]*operator{}, lies: map[string]func(wire.Handle) (names.Answer, error){}}
	}
	return w.says
}

// Look asks the domain of h, which takes its time: what is known already is used meanwhile.
func (b *domainBook) Look(_ context.Context, h wire.Handle) (names.Answer, error) {
	time.Sleep(100 * time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if lie := b.lies[h.Domain]; lie != nil {
		return lie(h)
	}
	o := b.keeps[h.Domain]
	switch {
	case o == nil:
		return names.Answer{}, names.ErrNoDomain
	case o.Host == nil:
		return names.Answer{}, names.ErrSilent
	}
	page, ok := o.Page(h.Label())
	if !ok {
		return names.Answer{}, names.ErrUnknown
	}
	reply, err := wire.ParseHandleReply(page)
	return names.Answer{HandleReply: reply, HTTPS: true}, err
}

// says has a domain answer something else, or with nil the truth again.
func (b *domainBook) lie(domain string, lie func(wire.Handle) (names.Answer, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lies[domain] = lie
}

// ends has a domain answer nothing but an error.
func (b *domainBook) fails(domain string, err error) {
	b.lie(domain, func(wire.Handle) (names.Answer, error) { return names.Answer{}, err })
}

// of is an operator who keeps the names of a domain.
func of(domain string) func(*operator) {
	return func(o *operator) {
		o.domain = domain
		o.w.book().keeps[domain] = o
	}
}

// meets is an operator who was told of the nodes of others.
func meets(others ...*operator) func(*operator) {
	return func(o *operator) { o.meets = others }
}

func (o *operator) domains() []string {
	if o.domain == "" {
		return nil
	}
	return []string{o.domain}
}

func listening(nodes []*operator) (out []string) {
	for _, m := range nodes {
		if m.Host != nil {
			out = append(out, m.Listening()...)
		}
	}
	return out
}

// calls has a person take a name, and fails unless its domain vouches for it.
func (p *person) calls(handle string) {
	p.w.Helper()
	f, err := p.AddHandle(ctx(), handle)
	p.w.must(err)
	if f.State != "vouched" {
		p.w.Fatalf("%s is not %s: %s", p.name, handle, f.Detail)
	}
}

// told reports whether the user was told of a state of his node.
func (p *person) told(state string) bool {
	for _, e := range p.events() {
		if e.Kind == "node" && e.State == state {
			return true
		}
	}
	return false
}
