package p2p

import (
	"errors"
	"slices"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

const testPeer = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

func TestDialText(t *testing.T) {
	tests := []struct {
		name, text, addr string
		err              error
	}{
		{"quic", "/ip4/192.0.2.1/udp/4866/quic-v1/p2p/" + testPeer, "/ip4/192.0.2.1/udp/4866/quic-v1", nil},
		{"name", "/dns4/example.org/tcp/4866/p2p/" + testPeer, "/dns4/example.org/tcp/4866", nil},
		{"no address part", "/p2p/" + testPeer, "", nil},
		{"through a relay", "/ip4/192.0.2.1/tcp/1/p2p/" + testPeer + "/p2p-circuit/p2p/" + testPeer, "/ip4/192.0.2.1/tcp/1/p2p/" + testPeer + "/p2p-circuit", nil},
		{"no peer", "/ip4/192.0.2.1/tcp/4866", "", ErrBadAddr},
		{"empty", "", "", ErrBadAddr},
		{"junk", "hello", "", ErrBadAddr},
		{"peer in the middle", "/p2p/" + testPeer + "/tcp/1", "", ErrBadAddr},
	}
	for _, tt := range tests {
		p, addr, err := ParseDial(tt.text)
		if !errors.Is(err, tt.err) || AddrText(addr) != tt.addr {
			t.Errorf("%s: %q, %v", tt.name, AddrText(addr), err)
		}
		if err == nil && (p.String() != testPeer || DialText(p, addr) != tt.text) {
			t.Errorf("%s: prints as %q", tt.name, DialText(p, addr))
		}
	}
	if got := AddrText([]byte{1, 2}); got != "" {
		t.Errorf("no multiaddr prints as %q", got)
	}
}

func FuzzParseDial(f *testing.F) {
	f.Add("/ip4/192.0.2.1/udp/4866/quic-v1/p2p/" + testPeer)
	f.Add("/p2p/" + testPeer)
	f.Fuzz(func(t *testing.T, text string) {
		p, addr, err := ParseDial(text)
		if err != nil {
			return
		}
		q, again, err := ParseDial(DialText(p, addr))
		if err != nil || p != q || !slices.Equal(addr, again) {
			t.Errorf("%q: %v %x, then %v %x, %v", text, p, addr, q, again, err)
		}
	})
}

func TestDialable(t *testing.T) {
	tests := []struct {
		name     string
		in, want []string
	}{
		{"public first, no loopback", []string{"/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.2/tcp/1", "/ip4/8.8.8.8/tcp/1"},
			[]string{"/ip4/8.8.8.8/tcp/1", "/ip4/192.168.1.2/tcp/1"}},
		{"loopback when nothing else", []string{"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"}, []string{"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"}},
		{"no link-local", []string{"/ip6/fe80::1/tcp/1", "/ip4/10.0.0.1/tcp/1"}, []string{"/ip4/10.0.0.1/tcp/1"}},
		{"each once", []string{"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"}, []string{"/ip4/10.0.0.1/tcp/1"}},
		{"nothing", nil, nil},
	}
	for _, tt := range tests {
		var in []ma.Multiaddr
		for _, s := range tt.in {
			in = append(in, ma.StringCast(s))
		}
		var got []string
		for _, b := range dialable(in) {
			got = append(got, AddrText(b))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	var many []ma.Multiaddr
	for i := range 20 {
		many = append(many, ma.StringCast("/ip4/10.0.0."+string(rune('0'+i%10))+"/tcp/"+string(rune('1'+i/10))))
	}
	if got := len(dialable(many)); got != maxAddrs {
		t.Errorf("%d addresses, want %d", got, maxAddrs)
	}
}
