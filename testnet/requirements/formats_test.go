package requirements

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/rfc"
)

// a cpim message from p to q, with more headers, and hi in it.
func cpim(from, to, more string) []byte {
	return []byte("From: <" + from + ">\r\nTo: <" + to + ">\r\nDateTime: 2026-01-01T00:00:00Z\r\n" + more + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhi")
}

// content sends a content and returns it as q's inbox has it.
func (p *person) content(q *person, d node.Draft) node.Received {
	p.w.Helper()
	d.To = addressOf(q)
	s := p.draft(d)
	p.comesTo(s, "delivered", soon)
	rows, err := q.Inbox(ctx(), node.InboxQuery{ID: s.ID.String()})
	p.w.must(err)
	return rows[0]
}

func (p *person) exports(kind string, id wire.MID) []byte {
	p.w.Helper()
	e, err := p.Export(ctx(), node.ExportQuery{Kind: kind, ID: id.String()})
	p.w.must(err)
	return e.Content
}

// The shared format goes through unchanged, and each message of hum can be written in it.
func TestReq_4_1_1_SharedMessageFormat(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		// RFC 3862's example, but for what it requires: nobody understands that.
		example := "From: MR SANDERS <im:piglet@100akerwood.com>\r\nTo: Depressed Donkey <im:eeyore@100akerwood.com>\r\nDateTime: 2000-12-13T13:40:00-08:00\r\n" +
			"Subject: the weather will be fine today\r\nSubject:;lang=fr beau temps prevu pour aujourd'hui\r\nNS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\n" +
			"MyFeatures.WackyMessageOption: Use-silly-font\r\n\r\nContent-type: text/xml; charset=utf-8\r\nContent-ID: <1234567890@foo.com>\r\n\r\n<body>\r\nHere is the text of my message.\r\n</body>\r\n"
		m := alice.content(bob, node.Draft{Type: "message/cpim", Content: []byte(example)})
		if string(m.Content) != example || m.Type != "message/cpim" {
			t.Errorf("came as %s %q", m.Type, m.Content)
		}
		for _, p := range []*person{alice, bob} {
			if got := p.exports(node.KindCPIM, m.ID); string(got) != example {
				t.Errorf("%s exports %q", p.name, got)
			}
		}
		w.finds("an export that differs", sameBytes(bob.exports(node.KindCPIM, m.ID), []byte(strings.Replace(example, "fr beau", "en beau", 1))))
		native := alice.content(bob, node.Draft{Content: []byte("hello"), Lang: "en"})
		c, err := formats.ParseCPIM(bob.exports(node.KindCPIM, native.ID))
		w.must(err)
		if _, from := c.From(); from != alice.Self().Address.IM() || c.To()[0] != bob.Self().Address.IM() || string(c.Content) != "hello" {
			t.Errorf("a message of hum is written as %+v", c)
		}
		for name, bad := range map[string]string{"format": strings.Replace(example, "From:", "from:", 1), "malformed": strings.Replace(example, "To: ", "To:", 1)} {
			if _, err := alice.Send(ctx(), node.Draft{To: addressOf(bob), Type: "message/cpim", Content: []byte(bad)}); code(err) != name {
				t.Errorf("got %v, want %s", err, name)
			}
		}
		for name, bad := range malformedCPIM(example) {
			if _, err := formats.ParseCPIM([]byte(bad)); err == nil || err.Error() == "" {
				t.Errorf("%s is taken: %v", name, err)
			}
		}
		i, err := alice.Import(ctx(), node.KindCPIM, cpim(alice.Self().Address.IM(), bob.Self().Address.IM(), ""))
		w.must(err)
		alice.comesTo(*i.Sent, "delivered", soon)
	})
}

// malformedCPIM are ways to write the example wrongly; each is to get an error that says what it is.
func malformedCPIM(example string) map[string]string {
	out := map[string]string{"nothing": "", "a blank line before it": "\r\n" + example,
		"bare line feeds": strings.ReplaceAll(example, "\r\n", "\n"), "a folded header": strings.Replace(example, "Subject: the", "Subject: \r\n the", 1),
		"a NUL": strings.Replace(example, "fine", "fi\x00ne", 1), "Latin-1": strings.Replace(example, "fine", "fi\xe9", 1), "cut in its headers": example[:60],
		"a space before its name": " " + example, "a header without a name": strings.Replace(example, "Subject: the", ": the", 1)}
	for _, change := range [][2]string{{"From: ", "from: "}, {"From: ", "From:"}, {"From: ", "From : "}, {"To: ", "TO: "}, {"To: ", "Tu: "}, {"From: ", "Fram: "},
		{"<im:piglet@100akerwood.com>", "im:piglet@100akerwood.com"}, {"<im:eeyore@100akerwood.com>", "<im:eeyore@100akerwood.com"},
		{"DateTime: 2000-12-13T13:40:00-08:00", "DateTime: yesterday"}, {"NS: MyFeatures", "NS: My Features"}, {";lang=fr beau", ";lang= beau"}} {
		out[change[0]+" as "+change[1]] = strings.Replace(example, change[0], change[1], 1)
	}
	return out
}

// The documents that xmllint judges leave the bubble first.
func TestReq_4_2_1_ToldAsIMDN(t *testing.T) {
	var docs [][]byte
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		s := alice.delivers(bob, "hello")
		docs = append(docs, alice.exports(node.KindIMDN, s.ID), bob.exports(node.KindIMDN, s.ID))
		_, err := bob.Block(ctx(), addressOf(alice), "both")
		w.must(err)
		s = alice.send(bob, "and this?")
		alice.comesTo(s, "failed(refused)", soon)
		docs = append(docs, alice.exports(node.KindIMDN, s.ID))
		bob.down()
		s = alice.send(bob, "under way")
		if _, err := alice.Export(ctx(), node.ExportQuery{Kind: node.KindIMDN, ID: s.ID.String()}); err == nil {
			t.Error("told before there is anything to tell")
		}
	})
	for i, want := range []string{"<delivered/>", "<delivered/>", "<forbidden/>"} {
		if !strings.Contains(string(docs[i]), want) {
			t.Errorf("lacks %s:\n%s", want, docs[i])
		}
	}
	rfc.LoadGrammar(t, 5438).AllValid(t, docs...)
}

// What is not hum's own format cannot lend anybody a name: Carol's device signs, and the headers say Alice.
func TestReq_4_1_2_HeadersOfTheContent(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		w.must(bobKnows(bob, c))
		for how, want := range map[string]string{alice.Self().Address.IM() + " " + bob.Self().Address.IM(): "failed(bad-signature)",
			c.address().IM() + " " + alice.Self().Address.IM(): "failed(recipient-mismatch)", "im:carol@example.org im:bob@example.org": "delivered",
			c.address().IM() + " " + bob.Self().Address.IM(): "delivered"} {
			from, to, _ := strings.Cut(how, " ")
			im := c.im(bob, "", func(im *wire.IM) { im.ContentType, im.Content = "message/cpim", cpim(from, to, "") })
			c.post(bob, im, c.records...)
			if v := c.verdict(bob, im); v != want {
				t.Errorf("from %s: %s, want %s", how, v, want)
			}
		}
	})
}

// bobKnows has bob take a hostile's messages as those of a contact.
func bobKnows(bob *person, c *hostile) error {
	_, err := bob.Add(ctx(), c.card(), "carol")
	return err
}

func TestReq_4_1_4_OtherMeansOfContact(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		means := []string{"tel:+41446681800", "mailto:alice@example.org", "gopher:unheard.of"}
		m := alice.content(bob, node.Draft{Content: []byte("call me"), Contact: means})
		if strings.Join(m.Contact, " ") != strings.Join(means, " ") {
			t.Errorf("bob sees %q", m.Contact)
		}
		if node.Launchable(means[2]) || !node.Launchable(means[0]) {
			t.Error("a scheme that nobody handles is not told apart")
		}
		text := string(bob.exports(node.KindCPIM, m.ID))
		if !strings.Contains(text, "hum.Contact: tel:+41446681800\r\n") {
			t.Errorf("not exported:\n%s", text)
		}
		if _, err := alice.Send(ctx(), node.Draft{To: addressOf(bob), Content: []byte("x"), Contact: []string{"my desk"}}); code(err) != "no-scheme" {
			t.Errorf("no URI, and %v", err)
		}
	})
}

func TestReq_4_1_5_AnyContent(t *testing.T) {
	png := make([]byte, 20<<10)
	_, _ = rand.Read(png)
	copy(png, "\x89PNG\r\n\x1a\n")
	sealed := make([]byte, 3000)
	_, _ = rand.Read(sealed)
	signed := "--next\r\nContent-Type: text/plain\r\n\r\nsigned \t words  \r\n--next\r\nContent-Type: application/pkcs7-signature\r\n\r\n\x00\x01\xff\r\n--next--\r\n"
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		all := map[string][]byte{"text/plain; charset=utf-8": []byte("grüezi שלום 你好"), "image/png": png, "application/pkcs7-mime; smime-type=enveloped-data": sealed,
			"multipart/signed; boundary=next; micalg=sha1; protocol=\"application/pkcs7-signature\"": []byte(signed), "x-nobody/knows.this+one": {0}, "image/jpeg": bytes.Repeat([]byte{7}, wire.MaxContent)}
		for kind, content := range all {
			m := alice.content(bob, node.Draft{Type: kind, Content: content})
			if m.Type != kind || sha256.Sum256(m.Content) != sha256.Sum256(content) {
				t.Errorf("%s: came as %s, %d bytes", kind, m.Type, len(m.Content))
			}
		}
		_, err := alice.Send(ctx(), node.Draft{To: addressOf(bob), Type: "image/jpeg", Content: make([]byte, wire.MaxContent+1)})
		if code(err) != "too-large" || !strings.Contains(err.Error(), "send the link") {
			t.Errorf("too large: %v", err)
		}
		// Bob takes images and text alone from now on.
		f, err := os.OpenFile(filepath.Join(bob.home, "config.toml"), os.O_APPEND|os.O_WRONLY, 0o600)
		w.must(err)
		_, err = f.WriteString("\naccept = [\"image/*\"]\n")
		w.must(err)
		w.must(f.Close())
		bob.down()
		bob.up()
		for kind, want := range map[string]string{"application/pkcs7-mime": "failed(unsupported-type)", "image/png": "delivered", "text/plain": "delivered", "imagenary/png": "failed(unsupported-type)"} {
			s := alice.draft(node.Draft{To: addressOf(bob), Type: kind, Content: []byte("x"), Expires: time.Hour})
			alice.comesTo(s, want, time.Minute)
		}
	})
}

func TestReq_4_1_6_TextOfTheWorld(t *testing.T) {
	texts := []string{"שלום עולם", "مرحبا", "e\u0301 is not \u00e9", "👩‍👩‍👧‍👦 🏳️‍🌈", "ｆｕｌｌ", "नमस्ते", "a\u202eb"}
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		for _, text := range texts {
			if m := alice.content(bob, node.Draft{Content: []byte(text), Lang: "zh-Hant-TW"}); string(m.Content) != text || m.Lang != "zh-Hant-TW" {
				t.Errorf("%q came as %q in %s", text, m.Content, m.Lang)
			}
		}
		if _, err := alice.Send(ctx(), node.Draft{To: addressOf(bob), Content: []byte("x"), Lang: "not a tag"}); code(err) != "value" {
			t.Errorf("no language, and %v", err)
		}
		c, err := formats.ParseCPIM(cpim("im:a@b.example", "im:c@d.example", "Subject:;lang=fr Objet\r\nSubject:;lang=he נושא\r\n"))
		w.must(err)
		if s := c.Subjects(); len(s) != 2 || s[0].Lang != "fr" || s[1].Text != "נושא" {
			t.Errorf("subjects %+v", s)
		}
	})
}

// Who cannot see an image has its author's words; who sends one without is told.
func TestReq_4_1_7_ImagesInWords(t *testing.T) {
	png := []byte("\x89PNG\r\n\x1a\n and so on")
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		if s := alice.draft(node.Draft{To: addressOf(bob), Type: "image/png", Content: png}); !strings.Contains(s.Warning, "--alt") {
			t.Errorf("no warning: %q", s.Warning)
		}
		m := alice.content(bob, node.Draft{Type: "image/png", Content: png, Alt: "a cat on the keyboard", Lang: "en"})
		if m.Words != "a cat on the keyboard" || m.Lang != "en" || len(m.Parts) != 2 {
			t.Errorf("bob reads %q, %+v", m.Words, m.Parts)
		}
		rows, err := bob.Inbox(ctx(), node.InboxQuery{ID: m.ID.String(), Part: 2})
		w.must(err)
		if !bytes.Equal(rows[0].Content, png) || rows[0].Type != "image/png" {
			t.Errorf("the image is %s %q", rows[0].Type, rows[0].Content)
		}
		if _, err := bob.Inbox(ctx(), node.InboxQuery{ID: m.ID.String(), Part: 3}); code(err) != "unknown-part" {
			t.Errorf("a third part: %v", err)
		}
	})
}

// A field that its author requires, and nobody here understands, is refused by its name; others are ignored.
func TestReq_4_1_8_RequiredFields(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, c := w.person("bob"), w.hostile("carol")
		w.must(bobKnows(bob, c))
		a, b := c.address().IM(), bob.Self().Address.IM()
		in := func(more string) func(*wire.IM) {
			return func(im *wire.IM) { im.ContentType, im.Content = "message/cpim", cpim(a, b, more) }
		}
		for how, x := range map[string]struct {
			edit func(*wire.IM)
			want string
		}{
			"an unknown header":    {in("NS: x <mid:y@z>\r\nx.y: z\r\n"), "delivered"},
			"one that is required": {in("NS: x <mid:y@z>\r\nRequire: x.y\r\nx.y: z\r\n"), "failed(unsupported-required)"},
			"required and known":   {in("Require: Subject\r\nSubject: hi\r\n"), "delivered"},
			"an unknown ext":       {func(im *wire.IM) { im.Ext = []wire.Ext{{Name: "x.example.org/a", Value: []byte{1}}} }, "delivered"},
			"an ext that is required": {func(im *wire.IM) {
				im.Ext = []wire.Ext{{Name: "x.example.org/a", Value: []byte{1}, MustUnderstand: true}}
			}, "failed(unsupported-required)"},
			"a field that is required": {func(im *wire.IM) {
				im.Unknown = []wire.Unknown{{Number: 90, Raw: []byte{0xd0, 0x05, 0x01}}}
				im.Crit = []uint32{90}
			}, "failed(unsupported-required)"},
			"cpim that is none": {func(im *wire.IM) { im.ContentType, im.Content = "message/cpim", []byte("hi") }, "failed(malformed)"},
		} {
			im := c.im(bob, how, x.edit)
			c.post(bob, im, c.records...)
			if v := c.verdict(bob, im); v != x.want {
				t.Errorf("%s: %s, want %s", how, v, x.want)
			}
		}
	})
}

// An exported multipart is opened by a parser of MIME that knows nothing of hum.
func TestReq_4_1_10_BasedOnMIME(t *testing.T) {
	both := "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>rich</b>\r\n--b--\r\n"
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		m := alice.content(bob, node.Draft{Type: "multipart/alternative; boundary=b", Content: []byte(both)})
		if m.Words != "plain" || string(m.Content) != both {
			t.Errorf("bob reads %q of %q", m.Words, m.Content)
		}
		_, object, _ := strings.Cut(string(bob.exports(node.KindCPIM, m.ID)), "\r\n\r\n")
		msg, err := mail.ReadMessage(strings.NewReader(object))
		w.must(err)
		kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
		w.must(err)
		var found []string
		for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
			p, err := r.NextPart()
			if err != nil {
				break
			}
			b, _ := io.ReadAll(p)
			found = append(found, p.Header.Get("Content-Type")+" "+string(b))
		}
		if kind != "multipart/alternative" || strings.Join(found, "|") != "text/plain; charset=utf-8 plain|text/html <b>rich</b>" {
			t.Errorf("%s: %q", kind, found)
		}
	})
}
