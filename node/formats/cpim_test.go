package formats

import (
	"bufio"
	"bytes"
	"mime"
	"net/textproto"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/rfc"
)

// pooh is the example of RFC 3862, section 5.1.
const pooh = "Content-type: Message/CPIM\r\n\r\n" +
	"From: MR SANDERS <im:piglet@100akerwood.com>\r\n" +
	"To: Depressed Donkey <im:eeyore@100akerwood.com>\r\n" +
	"DateTime: 2000-12-13T13:40:00-08:00\r\n" +
	"Subject: the weather will be fine today\r\n" +
	"Subject:;lang=fr beau temps prevu pour aujourd'hui\r\n" +
	"NS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\n" +
	"Require: MyFeatures.VitalMessageOption\r\n" +
	"MyFeatures.VitalMessageOption: Confirmation-requested\r\n" +
	"MyFeatures.WackyMessageOption: Use-silly-font\r\n\r\n" +
	"Content-type: text/xml; charset=utf-8\r\nContent-ID: <1234567890@foo.com>\r\n\r\n" +
	"<body>\r\nHere is the text of my message.\r\n</body>\r\n"

func mustCPIM(t *testing.T, text string) *CPIM {
	t.Helper()
	c, err := ParseCPIM([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if back := c.Append(nil); string(back) != text {
		t.Fatalf("written back as %q", back)
	}
	return c
}

func TestCPIMExampleOfTheRFC(t *testing.T) {
	c := mustCPIM(t, pooh)
	name, uri := c.From()
	if name != "MR SANDERS" || uri != "im:piglet@100akerwood.com" || c.To()[0] != "im:eeyore@100akerwood.com" || c.Type != "text/xml" {
		t.Errorf("from %q %q to %q, %s", name, uri, c.To(), c.Type)
	}
	if s := c.Subjects(); len(s) != 2 || s[1].Lang != "fr" || s[1].Text != "beau temps prevu pour aujourd'hui" {
		t.Errorf("subjects %+v", s)
	}
	if u := c.Unknown(); u != "MyFeatures.VitalMessageOption" {
		t.Errorf("required and unknown: %q", u)
	}
	if string(c.Content) != "<body>\r\nHere is the text of my message.\r\n</body>\r\n" {
		t.Errorf("content %q", c.Content)
	}
	mustCPIM(t, strings.TrimPrefix(pooh, "Content-type: Message/CPIM\r\n\r\n"))
}

// The RFC's own print of it is the same text.
func TestCPIMExampleIsTheRFCs(t *testing.T) {
	text := rfc.Text(t, 3862)
	_, text, _ = strings.Cut(text, "The following example shows a Message/CPIM message:")
	text, _, _ = strings.Cut(text, "5.2.")
	var got strings.Builder
	for line := range strings.Lines(text) {
		if tag, rest, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && len(tag) == 1 {
			got.WriteString(strings.TrimPrefix(rest, " ") + "\r\n")
		}
	}
	if got.String() != pooh {
		t.Errorf("the RFC prints %q", got.String())
	}
}

const least = "From: <im:a@b.example>\r\nTo: <im:c@d.example>\r\n"

func TestCPIMReads(t *testing.T) {
	tests := []struct{ name, headers, want string }{
		{"every escape", `Subject: a\\b\tc\u0007d\"e\'f\xg\`, "a\\b\tc\ad\"e'fxg"},
		{"two halves of one character", `Subject: \ud83d\ude00`, "😀"},
		{"right to left, joined emoji, both forms of e", "Subject:;lang=he שלום 👩‍👩‍👧 é é", "שלום 👩‍👩‍👧 é é"},
		{"a parameter of others", `Subject:;x="a;b c";lang=en-GB hi`, "hi"},
		{"another prefix for the same", "NS: c <" + nsCPIM + ">\r\nc.Subject: hi", "hi"},
		{"unknown headers", "X-Mood: fine\r\nSubject: hi", "hi"},
		{"a default namespace of another kind", "NS: <mid:x@y>\r\nSubject: not ours", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := mustCPIM(t, least+test.headers+"\r\n\r\nContent-Type: text/plain\r\n\r\nhi")
			got := ""
			if s := c.Subjects(); len(s) > 0 {
				got = s[0].Text
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCPIMRequires(t *testing.T) {
	tests := []struct{ name, headers, want string }{
		{"nothing", "", ""},
		{"what is understood", "Require: Subject,DateTime", ""},
		{"understood, by another prefix", "NS: i <" + nsIMDN + ">\r\nRequire: i.Message-ID", ""},
		{"a header that is not there", "NS: x <mid:y@z>\r\nRequire: x.MustRenderKanji", "x.MustRenderKanji"},
		{"one of several", "NS: x <mid:y@z>\r\nRequire: Subject,x.Y", "x.Y"},
		{"a name of ours in a foreign namespace", "NS: x <mid:y@z>\r\nRequire: x.Subject", "x.Subject"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.headers != "" {
				test.headers += "\r\n"
			}
			if got := mustCPIM(t, least+test.headers+"\r\nContent-Type: text/plain\r\n\r\n").Unknown(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Each way to be no CPIM message, by its name and line.
func TestCPIMRefused(t *testing.T) {
	const end = "\r\nContent-Type: text/plain\r\n\r\nhi"
	tests := []struct {
		name, text string
		want       Problem
		line       int
	}{
		{"lower-case from", "from: <im:a@b.example>\r\nTo: <im:c@d.example>\r\n" + end, NotOfFormat, 0},
		{"no From", "To: <im:c@d.example>\r\n" + end, NotOfFormat, 0},
		{"two From", "From: <im:a@b.example>\r\n" + least + end, NotOfFormat, 0},
		{"no To", "From: <im:a@b.example>\r\n" + end, NotOfFormat, 0},
		{"no space", least + "Subject:hi\r\n" + end, NotWellFormed, 3},
		{"two spaces", least + "Subject:  hi\r\n" + end, NotWellFormed, 3},
		{"a space before the colon", least + "Subject : hi\r\n" + end, NotWellFormed, 3},
		{"no colon", least + "Subject hi\r\n" + end, NotWellFormed, 3},
		{"bare LF", least + "Subject: hi\n" + end, NotWellFormed, 3},
		{"leading blank", " From: <im:a@b.example>\r\nTo: <im:c@d.example>\r\n" + end, NotWellFormed, 1},
		{"folded", least + "Subject: hi\r\n there\r\n" + end, NotWellFormed, 4},
		{"trailing blank", least + "Subject: hi \r\n" + end, NotWellFormed, 3},
		{"nothing but a blank", least + "Subject: \r\n" + end, NotWellFormed, 3},
		{"a tab", least + "Subject: a\tb\r\n" + end, NotWellFormed, 3},
		{"a bare CR", least + "Subject: a\rb\r\n" + end, NotWellFormed, 3},
		{"a NUL", least + "Subject: a\x00b\r\n" + end, NotWellFormed, 3},
		{"latin-1", least + "Subject: caf\xe9\r\n" + end, BadEncoding, 3},
		{"an address without brackets", "From: im:a@b.example\r\nTo: <im:c@d.example>\r\n" + end, BadValue, 1},
		{"an address without a scheme", "From: <a@b.example>\r\nTo: <im:c@d.example>\r\n" + end, BadValue, 1},
		{"no time", least + "DateTime: yesterday\r\n" + end, BadValue, 3},
		{"a prefix of nobody's", least + "x.Y: z\r\n" + end, BadNamespace, 3},
		{"a namespace that is no URI", least + "NS: x <y>\r\n" + end, BadNamespace, 3},
		{"required by a prefix of nobody's", least + "Require: x.Y\r\n" + end, BadNamespace, 3},
		{"no language", least + "Subject:;lang=e_n hi\r\n" + end, BadValue, 3},
		{"an open string", least + "Subject:;x=\"a hi\r\n" + end, NotWellFormed, 3},
		{"no content", least + "\r\n", NotWellFormed, 4},
		{"a content without a type", least + "\r\nContent-ID: <a@b>\r\n\r\nhi", NotOfFormat, 4},
		{"headers without an end", least + "\r\nContent-Type: text/plain\r\n", NotWellFormed, 5},
		{"nothing at all", "", NotWellFormed, 1},
		{"a blank line first", "\r\n" + least + end, NotOfFormat, 1},
		{"something else", "Content-Type: text/plain\r\n\r\n" + least + end, NotOfFormat, 1},
		{"too large", least + end + strings.Repeat("x", wire.MaxContent), TooLarge, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseCPIM([]byte(test.text))
			if !isProblem(err, test.want) || err.(*Error).Line != test.line {
				t.Errorf("got %v; want %s in line %d", err, test.want, test.line)
			}
		})
	}
}

// The samples of RFC 5438 lack the blank line before the content's headers.
func TestCPIMWithoutItsBlankLine(t *testing.T) {
	c := mustCPIM(t, least+"Content-type: text/plain\r\nContent-length: 2\r\n\r\nhi")
	if !c.Joined || string(c.Content) != "hi" {
		t.Errorf("%+v", c)
	}
}

// A message of hum, written, is read as what it was, and by a parser of MIME that is not ours.
func TestCPIMOfAMessage(t *testing.T) {
	im := wire.IM{From: bob, To: identity.Address{2}, Sent: 1_770_000_000_000, Expires: 1_770_000_060_000, ContentType: "text/plain; charset=utf-8",
		Content: []byte("שלום\r\n\r\nworld"), Lang: "he", InReplyTo: wire.MID{7}, Contact: []string{"tel:+41446681800", "mailto:bob@example.com"}, Report: 1}
	text := Letter{wire.MID{8}, im}.CPIM()
	c := mustCPIM(t, string(text))
	if _, uri := c.From(); uri != bob.IM() || c.To()[0] != im.To.IM() || c.Type != "text/plain" || !bytes.Equal(c.Content, im.Content) || c.Unknown() != "" {
		t.Errorf("%+v", c)
	}
	for _, want := range []string{"imdn.Message-ID: " + (wire.MID{8}).String() + "\r\n", "hum.In-Reply-To: " + (wire.MID{7}).String() + "\r\n",
		"hum.Contact: tel:+41446681800\r\n", "imdn.Disposition-Notification: positive-delivery, negative-delivery, display\r\n", "Content-Language: he\r\n"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if a, r := c.Belies(bob, im.To); a || r {
		t.Error("belies its own")
	}
	if a, r := c.Belies(im.To, bob); !a || !r {
		t.Error("names others, unseen")
	}
	_, inner, _ := strings.Cut(string(text), "\r\n\r\n")
	head, err := textproto.NewReader(bufio.NewReader(strings.NewReader(inner))).ReadMIMEHeader()
	if kind, params, _ := mime.ParseMediaType(head.Get("Content-Type")); err != nil || kind != "text/plain" || params["charset"] != "utf-8" {
		t.Errorf("%v, %v", head, err)
	}
	im.ContentType, im.Content = "Message/CPIM; x=y", []byte(pooh)
	if got := (Letter{wire.MID{8}, im}).CPIM(); string(got) != pooh {
		t.Errorf("what came as CPIM is written anew: %q", got)
	}
	im.ContentType, im.Content, im.Contact = "text/plain\r\nTo: <im:eve@example.com>", nil, []string{"tel:1\r\nTo: <im:eve@example.com>"}
	if c := mustCPIM(t, string(Letter{wire.MID{8}, im}.CPIM())); len(c.To()) != 1 {
		t.Errorf("a header was smuggled in: %+v", c.To())
	}
}

func FuzzCPIM(f *testing.F) {
	f.Add([]byte(pooh))
	f.Add([]byte(least + "Content-type: text/plain\r\n\r\nhi"))
	f.Add([]byte(least + "Subject:;x=\"a\\\"b\";lang=en hi\r\nNS: <a:b>\r\nx: y\r\n\r\nContent-Type: a/b\r\n c\r\n\r\n"))
	f.Add(Letter{wire.MID{8}, wire.IM{From: bob, ContentType: "text/plain", Contact: []string{"a:b\\"}}}.CPIM())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCPIM(b)
		if err != nil {
			return
		}
		if back := c.Append(nil); !bytes.Equal(back, b) {
			t.Errorf("a second form: %q for %q", back, b)
		}
		_, _, _ = c.Unknown(), c.To(), c.Subjects()
	})
}
