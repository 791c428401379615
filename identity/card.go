package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrCard says that a text is not a card.
var ErrCard = errors.New("not a hum card")

const (
	inviteSize  = 16
	maxCardName = 64 // characters
)

// A Card is what people hand each other to be found by (SPEC 2.2).
type Card struct {
	Address Address
	Dial    []string // multiaddrs that end in /p2p/T, as text; only their shape was looked at
	Name    string   // what the owner suggests to be called, a mere claim; "" is none
	Invite  []byte   // 16 bytes, nil is none [C1]
	Home    string   // multiaddr of a home, "" is none [C2]
}

// String returns the card as hum:hum1…?d=…&n=…, its parameters in the order d, n, i, h.
func (c Card) String() string {
	var params []string
	add := func(name, value string) { params = append(params, name+"="+escape(value)) }
	for _, d := range c.Dial {
		add("d", d)
	}
	if c.Name != "" {
		add("n", c.Name)
	}
	if c.Invite != nil {
		add("i", base64.RawURLEncoding.EncodeToString(c.Invite))
	}
	if c.Home != "" {
		add("h", c.Home)
	}
	s := "hum:" + c.Address.String()
	if len(params) > 0 {
		s += "?" + strings.Join(params, "&")
	}
	return s
}

// ParseCard reads a card. Names of parameters and the scheme are taken in any case, unknown
// parameters are ignored, and only d may come twice (SPEC 2.2).
func ParseCard(s string) (Card, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	if !strings.EqualFold(scheme, "hum") {
		return Card{}, fmt.Errorf("%w: the scheme is not hum", ErrCard)
	}
	addr, query, _ := strings.Cut(rest, "?")
	a, err := ParseAddress(addr)
	if err != nil {
		return Card{}, fmt.Errorf("%w: %w", ErrCard, err)
	}
	c := Card{Address: a}
	for param := range strings.SplitSeq(query, "&") {
		if err := c.set(param); err != nil {
			return Card{}, fmt.Errorf("%w: %w", ErrCard, err)
		}
	}
	return c, nil
}

// set takes one name=value into c.
func (c *Card) set(param string) error {
	name, escaped, _ := strings.Cut(param, "=")
	name = strings.ToLower(name)
	if len(name) != 1 || !strings.Contains("dnih", name) {
		return nil
	}
	value, err := url.PathUnescape(escaped) // unlike QueryUnescape it takes + literally
	if err != nil {
		return fmt.Errorf("parameter %s: bad percent-encoding", name)
	}
	switch name {
	case "d":
		c.Dial = append(c.Dial, value)
		return checkDial(value)
	case "h":
		return setOnce(&c.Home, value, checkDial)
	case "n":
		return setOnce(&c.Name, value, checkName)
	default:
		return c.setInvite(value)
	}
}

func setOnce(field *string, value string, check func(string) error) error {
	if *field != "" {
		return errors.New("a parameter is repeated")
	}
	*field = value
	return check(value)
}

func (c *Card) setInvite(value string) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(b) != inviteSize || strings.ContainsAny(value, "\r\n") {
		return errors.New("an invite is 16 bytes in base64url")
	}
	if c.Invite != nil {
		return errors.New("a parameter is repeated")
	}
	c.Invite = b
	return nil
}

// checkDial wants /name/value/…/p2p/<peer id> without empty parts; the transport reads the rest.
func checkDial(s string) error {
	parts := strings.Split(s, "/")
	n := len(parts)
	if n < 3 || parts[0] != "" || parts[n-2] != "p2p" || !utf8.ValidString(s) {
		return errors.New("a place to dial ends in /p2p/ and a peer id")
	}
	for _, p := range parts[1:] {
		if p == "" || strings.ContainsFunc(p, unprintable) {
			return errors.New("a place to dial has an empty or unprintable part")
		}
	}
	return nil
}

func unprintable(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

func checkName(s string) error {
	if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxCardName {
		return fmt.Errorf("a name has 1 to %d characters of UTF-8", maxCardName)
	}
	if strings.ContainsFunc(s, misleading) {
		return errors.New("a name holds control characters")
	}
	return nil
}

// misleading reports characters that no name needs and that could move or turn round what a screen
// shows beside it: controls, line ends, and the overrides of direction.
func misleading(r rune) bool {
	return unicode.IsControl(r) || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// escape percent-encodes all but the unreserved characters of RFC 3986 and those that multiaddrs
// are made of. + is encoded, because form decoders would take it for a space.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/:@,", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// ParseWho reads what a user may type or paste for a principal: an address, an im: or pres: URI,
// whose headers are ignored, or a card. Space around it is dropped. Petnames and handles are
// for the caller, who gets an error that is ErrAddress or ErrCard.
func ParseWho(s string) (Card, error) {
	s = strings.TrimSpace(s)
	scheme, rest, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		a, err := ParseAddress(s)
		return Card{Address: a}, err
	case strings.EqualFold(scheme, "im"), strings.EqualFold(scheme, "pres"):
		return parseURI(rest)
	}
	return ParseCard(s)
}

// parseURI reads hum1…@hum.alt, with or without ?headers (RFC 3859, RFC 3860).
func parseURI(s string) (Card, error) {
	mailbox, _, _ := strings.Cut(s, "?")
	local, domain, _ := strings.Cut(mailbox, "@")
	if !strings.EqualFold(domain, Domain) {
		return Card{}, fmt.Errorf("%w: not at %s", ErrAddress, Domain)
	}
	a, err := ParseAddress(local)
	return Card{Address: a}, err
}
