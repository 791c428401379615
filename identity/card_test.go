package identity

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const (
	bobText = "hum1qmrv62gvrdpvsusht3fwwycnqc99vwt2p8xvqgrsd0az73dqqup2q3fk7uq"
	bobDial = "/ip4/192.0.2.7/tcp/4866/p2p/12D3KooWBob"
)

func bob(t testing.TB) Address {
	a, err := ParseAddress(bobText)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestParseCard(t *testing.T) {
	a := bob(t)
	invite := []byte("0123456789abcdef")
	tests := []struct {
		name, text string
		want       Card
		ok         bool
	}{
		{"address alone", "hum:" + bobText, Card{Address: a}, true},
		{"a question mark and nothing", "hum:" + bobText + "?", Card{Address: a}, true},
		{"all there is", "hum:" + bobText + "?d=" + bobDial + "&d=/p2p/QmT&n=Bob%20B%C3%B6&i=MDEyMzQ1Njc4OWFiY2RlZg&h=/dns4/h/p2p/QmH",
			Card{a, []string{bobDial, "/p2p/QmT"}, "Bob Bö", invite, "/dns4/h/p2p/QmH"}, true},
		{"any case", "HUM:" + strings.ToUpper(bobText) + "?D=%2fp2p%2FQmT&N=Bob", Card{Address: a, Dial: []string{"/p2p/QmT"}, Name: "Bob"}, true},
		{"plus is a plus", "hum:" + bobText + "?n=a+b", Card{Address: a, Name: "a+b"}, true},
		{"parameters of the future", "hum:" + bobText + "?zz=%&n=Bob&y", Card{Address: a, Name: "Bob"}, true},
		{"through a relay", "hum:" + bobText + "?d=/dns4/r.test/tcp/4866/p2p/QmR/p2p-circuit/p2p/QmT",
			Card{Address: a, Dial: []string{"/dns4/r.test/tcp/4866/p2p/QmR/p2p-circuit/p2p/QmT"}}, true},
		{"64 characters", "hum:" + bobText + "?n=" + strings.Repeat("%C3%B6", 64), Card{Address: a, Name: strings.Repeat("ö", 64)}, true},

		{"65 characters", "hum:" + bobText + "?n=" + strings.Repeat("b", 65), Card{}, false},
		{"no scheme", bobText, Card{}, false},
		{"other scheme", "hun:" + bobText, Card{}, false},
		{"no address", "hum:?n=Bob", Card{}, false},
		{"broken address", "hum:" + bobText[:62] + "?n=Bob", Card{}, false},
		{"broken percent", "hum:" + bobText + "?n=%4", Card{}, false},
		{"name not UTF-8", "hum:" + bobText + "?n=%ff", Card{}, false},
		{"empty name", "hum:" + bobText + "?n=", Card{}, false},
		{"name rings a bell", "hum:" + bobText + "?n=Bob%07", Card{}, false},
		{"name runs backwards", "hum:" + bobText + "?n=%E2%80%AEbob", Card{}, false},
		{"two names", "hum:" + bobText + "?n=Bob&N=Bill", Card{}, false},
		{"dial without a peer", "hum:" + bobText + "?d=/ip4/192.0.2.7/tcp/4866", Card{}, false},
		{"dial with an empty peer", "hum:" + bobText + "?d=/ip4/192.0.2.7/tcp/4866/p2p/", Card{}, false},
		{"dial with a space", "hum:" + bobText + "?d=/dns4/a%20b/p2p/QmT", Card{}, false},
		{"invite too short", "hum:" + bobText + "?i=MDEyMzQ1Njc4OWFiY2Rl", Card{}, false},
		{"invite padded", "hum:" + bobText + "?i=MDEyMzQ1Njc4OWFiY2RlZg==", Card{}, false},
		{"invite with bits left over", "hum:" + bobText + "?i=MDEyMzQ1Njc4OWFiY2RlZh", Card{}, false},
		{"two invites", "hum:" + bobText + "?i=MDEyMzQ1Njc4OWFiY2RlZg&i=MDEyMzQ1Njc4OWFiY2RlZg", Card{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseCard(tt.text)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrCard) {
				t.Fatalf("error %v, want success: %v", err, tt.ok)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseWho(t *testing.T) {
	a := bob(t)
	tests := []struct {
		name, text string
		err        error
	}{
		{"address", bobText, nil},
		{"address in capitals", strings.ToUpper(bobText), nil},
		{"pasted with space", " \t" + bobText + "\n", nil},
		{"inbox", a.IM(), nil},
		{"presentity", a.Pres(), nil},
		{"scheme and domain in capitals", "IM:" + bobText + "@HUM.ALT", nil},
		{"headers", a.IM() + "?subject=hello", nil},
		{"card", "hum:" + bobText, nil},
		{"handle", "alice@example.org", ErrAddress},
		{"petname", "bob", ErrAddress},
		{"nothing", "", ErrAddress},
		{"URI elsewhere", "im:" + bobText + "@example.org", ErrAddress},
		{"URI of nobody", "pres:@hum.alt", ErrAddress},
		{"mail", "mailto:" + bobText + "@hum.alt", ErrCard},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseWho(tt.text)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && got.Address != a {
				t.Errorf("got %v", got.Address)
			}
		})
	}
}

func FuzzCard(f *testing.F) {
	f.Add("hum:" + bobText)
	f.Add("HUM:" + strings.ToUpper(bobText) + "?D=%2fp2p%2FQmT&N=B%C3%B6b+&x&i=MDEyMzQ1Njc4OWFiY2RlZg")
	f.Add("im:" + bobText + "@hum.alt?x")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseWho(s)
		if err != nil {
			return
		}
		back, err := ParseCard(c.String())
		if err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%q is %+v, printed %q, which is %+v, %v", s, c, c, back, err)
		}
	})
}

// FuzzCardBack goes the other way: whatever may stand in a card survives being printed.
func FuzzCardBack(f *testing.F) {
	f.Add([]byte{1}, bobDial, "Bob & Co", "/p2p/x?y#z=1+2%", true)
	f.Fuzz(func(t *testing.T, key []byte, dial, name, home string, invited bool) {
		if checkDial(dial) != nil || checkDial(home) != nil || checkName(name) != nil {
			return
		}
		c := Card{Dial: []string{dial, home}, Name: name, Home: home}
		copy(c.Address[:], key)
		if invited {
			c.Invite = make([]byte, inviteSize)
		}
		if back, err := ParseCard(c.String()); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%q is %+v, %v, want %+v", c, back, err, c)
		}
	})
}
