package wire

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/hum-presence/hum/identity"
)

// A Handle is a name that a domain vouches for, such as alice@example.org (SPEC 2.7), normalised.
type Handle struct{ Local, Domain string }

// The bounds of a handle, in bytes of UTF-8: those of mail (RFC 5321) and of DNS.
const (
	maxHandleLocal  = 64
	maxHandleDomain = 253
	maxHandleJSON   = 16 << 10
)

// ParseHandle reads a handle in any case and composition. The domain is one of letters, digits and hyphens, as
// DNS has it; an international one is turned into its xn-- form (RFC 5891). Errors: [ErrMalformed], [ErrTooLarge].
func ParseHandle(text string) (Handle, error) {
	bad := func(why string) (Handle, error) { return Handle{}, fmt.Errorf("handle: %w: %s", ErrMalformed, why) }
	if len(text) > 4*(maxHandleLocal+1+maxHandleDomain) {
		return Handle{}, fmt.Errorf("handle: %w", ErrTooLarge)
	}
	text = norm.NFC.String(strings.ToLower(norm.NFC.String(strings.TrimSpace(text))))
	local, domain, ok := strings.Cut(text, "@")
	if ok && strings.ContainsFunc(domain, func(r rune) bool { return r >= 0x80 }) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return bad("no domain behind the @")
		}
		domain = ascii
	}
	switch {
	case len(local) > maxHandleLocal || len(domain) > maxHandleDomain:
		return Handle{}, fmt.Errorf("handle: %w", ErrTooLarge)
	case !ok || local == "" || strings.ContainsFunc(local, notInHandle):
		return bad("it is a name, @ and a domain")
	case !hostName(domain):
		return bad("no domain behind the @")
	}
	return Handle{local, domain}, nil
}

// notInHandle refuses what cannot be seen, what separates, and a replacement for what was no UTF-8.
func notInHandle(r rune) bool {
	return !unicode.IsPrint(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar || strings.ContainsRune(`@/\"<>(),:;[]`, r)
}

func hostName(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return len(labels) > 1
}

// String returns the handle.
func (h Handle) String() string { return h.Local + "@" + h.Domain }

// Pres is the URI of the handle as that of a presentity (RFC 3859); what a URI cannot hold is percent-encoded.
func (h Handle) Pres() string { return "pres:" + url.PathEscape(h.Local) + "@" + h.Domain }

// Label is what stands for the handle in a path and in DNS: nobody who sees it learns the name (SPEC 2.7).
func (h Handle) Label() string {
	sum := identity.Hash("handle", []byte(h.String()))
	return midText.EncodeToString(sum[:20])
}

// URL is where the domain says whose the handle is.
func (h Handle) URL() string { return "https://" + h.Domain + h.Path() }

// Path is that of URL.
func (h Handle) Path() string { return HandleIndex + h.Label() }

// DNSName is the name of the TXT record that says it too.
func (h Handle) DNSName() string { return "_hum." + h.Label() + "." + h.Domain }

// A HandleReply is what a domain says of a handle. Record is a Signed AddressRecord, or nil if it came by DNS;
// Successors are Signed too, if it was another's before who has named this one, the oldest first; Homes are multiaddrs
// of homes that DNS names besides, as text.
type HandleReply struct {
	Address    Address
	Record     []byte
	Successors [][]byte
	Homes      []string
}

// The bounds of what DNS says of a handle: records that speak of hum, and bytes of each.
const (
	maxHandleTXT      = 8
	maxHandleTXTBytes = 1024
)

// ParseHandleTXT reads the TXT records of [Handle.DNSName]: each is an address, or a card of which the h= counts.
// What does not begin like one is somebody else's and skipped; none at all is an empty Address. Errors:
// [ErrMalformed], also if two of them name different addresses; [ErrTooLarge].
func ParseHandleTXT(texts []string) (out HandleReply, err error) {
	seen := 0
	for _, text := range texts {
		lower := strings.ToLower(text[:min(len(text), 5)])
		if !strings.HasPrefix(lower, "hum1") && !strings.HasPrefix(lower, "hum:") {
			continue
		}
		if seen++; seen > maxHandleTXT || len(text) > maxHandleTXTBytes {
			return HandleReply{}, fmt.Errorf("handle in DNS: %w", ErrTooLarge)
		}
		c, err := identity.ParseWho(text)
		switch {
		case err != nil:
			return HandleReply{}, fmt.Errorf("handle in DNS: %w: %v", ErrMalformed, err)
		case !out.Address.IsZero() && out.Address != c.Address:
			return HandleReply{}, fmt.Errorf("handle in DNS: %w: two addresses", ErrMalformed)
		}
		out.Address = c.Address
		if c.Home != "" && !slices.Contains(out.Homes, c.Home) && len(out.Homes) < MaxEndpoints {
			out.Homes = append(out.Homes, c.Home)
		}
	}
	return out, nil
}

// TXT returns what a domain writes into DNS for a reply: the address, then a card for each home.
func (x HandleReply) TXT() []string {
	out := []string{x.Address.String()}
	for _, h := range x.Homes {
		out = append(out, identity.Card{Address: x.Address, Home: h}.String())
	}
	return out
}

type handleJSON struct {
	Address    string   `json:"address"`
	Record     string   `json:"record,omitempty"`
	Successors []string `json:"successors,omitempty"`
}

// ParseHandleReply reads the JSON behind [Handle.URL]. Fields that are not known are skipped.
func ParseHandleReply(b []byte) (HandleReply, error) {
	if len(b) > maxHandleJSON {
		return HandleReply{}, fmt.Errorf("handle reply: %w: %d bytes", ErrTooLarge, len(b))
	}
	var x handleJSON
	if err := json.Unmarshal(b, &x); err != nil {
		return HandleReply{}, fmt.Errorf("handle reply: %w: %v", ErrMalformed, err)
	}
	a, err := identity.ParseAddress(x.Address)
	if err != nil {
		return HandleReply{}, fmt.Errorf("handle reply: %w: %v", ErrMalformed, err)
	}
	out := HandleReply{Address: a}
	if x.Record != "" {
		if out.Record, err = recordText.DecodeString(x.Record); err != nil {
			return HandleReply{}, fmt.Errorf("handle reply: %w: the record is not base64url", ErrMalformed)
		}
	}
	if len(x.Successors) > MaxSuccessors {
		return HandleReply{}, fmt.Errorf("handle reply: %w: %d successors", ErrTooLarge, len(x.Successors))
	}
	for _, text := range x.Successors {
		b, err := recordText.DecodeString(text)
		if err != nil || len(b) == 0 {
			return HandleReply{}, fmt.Errorf("handle reply: %w: a successor is not base64url", ErrMalformed)
		}
		out.Successors = append(out.Successors, b)
	}
	return out, nil
}

// JSON returns the reply as a domain serves it.
func (x HandleReply) JSON() ([]byte, error) {
	out := handleJSON{Address: x.Address.String(), Record: recordText.EncodeToString(x.Record)}
	for _, s := range x.Successors {
		out.Successors = append(out.Successors, recordText.EncodeToString(s))
	}
	return json.Marshal(out)
}

// HandleIndex is the path at which a domain says that it names people, whoever they are.
const HandleIndex = "/.well-known/hum/v1/"

// HandleIndexJSON is what is said there.
const HandleIndexJSON = `{"hum":1}`

// IsHandleIndex reports whether b says so.
func IsHandleIndex(b []byte) bool {
	var x struct{ Hum int }
	return json.Unmarshal(b, &x) == nil && x.Hum == 1
}
