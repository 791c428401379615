package formats

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/rfc"
)

var (
	bob   = identity.Address{1}
	phone = identity.DeviceID{0xaa, 0xbb, 0xcc, 0xdd, 1}
	desk  = identity.DeviceID{0x11, 0x22, 0x33, 0x44, 2}
)

func parse(t *testing.T, text string) *Document {
	t.Helper()
	d, err := ParsePIDF([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return d
}

// docOf is the presence document that publishes d.
func docOf(device identity.DeviceID, d *Document) wire.Doc {
	return wire.Doc{Entity: bob, Device: device, Ver: 1, TTL: 150, Tuples: d.Tuples, Notes: d.Notes, Contact: d.Contacts, Status: d.Status, Ext: d.Ext}
}

// Every example of RFC 3863, section 4.3, is imported and exported: with its octets, and without them
// from what was understood alone.
func TestRFCExamples(t *testing.T) {
	list := rfc.Examples(t, 3863, "\n4.3.  Examples", "\n4.4.  XML")
	if len(list) != 3 {
		t.Fatalf("found %d examples", len(list))
	}
	wants := [][]wire.Tuple{
		{{ID: "bs35r9", Basic: wire.Open, Contact: "im:someone@mobilecarrier.net", Priority: 800, Timestamp: 1004201369000,
			Notes: []wire.Note{{Text: "Don't Disturb Please!", Lang: "en"}, {Text: "Ne derangez pas, s'il vous plait", Lang: "fr"}}},
			{ID: "eg92n8", Basic: wire.Open, Contact: "mailto:someone@example.com", Priority: 1000}},
		{{ID: "ck38g9", Basic: wire.Open, Contact: "tel:+09012345678", Priority: 650},
			{ID: "md66je", Basic: wire.Open, Contact: "im:someone@mobilecarrier.net", Priority: 1000}},
		{{ID: "tj25ds", Basic: wire.Open, Contact: "tel:+09012345678", Priority: 725}},
	}
	s := rfc.Load(t)
	for i, text := range list {
		d := parse(t, text)
		if !reflect.DeepEqual(d.Tuples, wants[i]) || d.Entity != "pres:someone@example.com" {
			t.Errorf("example %d:\ngot  %+v\nwant %+v", i+1, d.Tuples, wants[i])
		}
		doc := docOf(phone, d)
		composed := About(bob).Compose([]wire.Doc{doc})
		doc.PIDF = d.Octets
		if out := About(bob).PIDF([]wire.Doc{doc}); string(out) != text {
			t.Errorf("example %d is not given out as it came:\n%s", i+1, out)
		}
		copied := About(bob).Compose([]wire.Doc{doc})
		s.AllValid(t, []byte(text), composed, copied)
		for _, b := range [][]byte{composed, copied} {
			same(t, docOf(phone, d), docOf(phone, parse(t, string(b))))
		}
	}
	if d := parse(t, list[0]); len(d.Notes) != 1 || d.Notes[0].Text != "I'll be in Tokyo next week" || len(d.Skipped) != 2 {
		t.Errorf("got %+v", d)
	}
	if d := parse(t, list[2]); len(d.Skipped) != 2 || d.Skipped[0].Local != "complexExtension" {
		t.Errorf("got %+v", d.Skipped)
	}
}

// same compares what two documents say, device ids and the suffix of ids apart.
func same(t *testing.T, want, got wire.Doc) {
	t.Helper()
	if a, b := plain(want), plain(got); !reflect.DeepEqual(a, b) {
		t.Errorf("\ngot  %+v\nwant %+v", b, a)
	}
}

func plain(d wire.Doc) wire.Doc {
	d.PIDF = nil
	tuples := []wire.Tuple{}
	for _, t := range d.Tuples {
		for _, device := range []identity.DeviceID{phone, desk} {
			t.ID = strings.TrimSuffix(t.ID, "-"+device.String()[:8])
		}
		var status []wire.Status
		for _, s := range t.Status {
			if s.Name != "deviceID" || !strings.HasPrefix(s.Value, "urn:uuid:") {
				status = append(status, s)
			}
		}
		t.Status = status
		tuples = append(tuples, t)
	}
	d.Tuples = tuples
	return d
}

// The examples of the other RFCs: what RPID, the data model, CIPID and timed status say is understood.
func TestRichExamples(t *testing.T) {
	s := rfc.Load(t)
	rpid := rfc.Examples(t, 4480, "\n4.  Example", "\n5.  XML")
	if len(rpid) != 1 {
		t.Fatalf("found %d examples in RFC 4480", len(rpid))
	}
	d := parse(t, rpid[0])
	want := []wire.Status{
		{Name: "activities", Value: "away;from=2005-05-30T07:00:00.000Z;until=2005-05-30T12:00:00.000Z;note=Far away"},
		{Name: "class", Value: "calendar"}, {Name: "mood", Value: "angry;other=brooding"}, {Name: "place-is", Value: "audio:noisy"},
		{Name: "place-type", Value: "residence"}, {Name: "privacy", Value: "unknown"}, {Name: "sphere", Value: "bowling league"},
		{Name: "status-icon", Value: "http://example.com/play.gif"}, {Name: "time-offset", Value: "-240"},
	}
	if !reflect.DeepEqual(d.Status, want) {
		t.Errorf("\ngot  %+v\nwant %+v", d.Status, want)
	}
	if got := d.Tuples[0]; got.IdleSince != 1098382800000 || !reflect.DeepEqual(got.Status, []wire.Status{
		{Name: "deviceID", Value: "urn:device:0003ba4811e3"}, {Name: "relationship", Value: "self"}, {Name: "service-class", Value: "electronic"},
		{Name: "user-input", Value: "idle;last-input=2004-10-21T18:20:00.000Z;idle-threshold=600"}}) {
		t.Errorf("got %+v", got)
	}
	again := About(bob).Compose([]wire.Doc{docOf(phone, d)})
	s.AllValid(t, again)
	same(t, docOf(phone, d), docOf(phone, parse(t, string(again))))

	cipid := rfc.Examples(t, 4482, "\n4.  Example", "\n5.  The XML")
	if len(cipid) != 2 {
		t.Fatalf("found %d examples in RFC 4482", len(cipid))
	}
	if _, err := ParsePIDF([]byte(cipid[0])); err == nil { // it closes <c:display-name> with </c:card>
		t.Error("the first example of RFC 4482 is not well formed, and was read")
	}
	d = parse(t, cipid[1])
	if len(d.Contacts) != 1 || d.Contacts[0] != "http://example.com/~someone/card.vcd" || len(d.Status) != 4 {
		t.Errorf("got %+v %+v", d.Contacts, d.Status)
	}
	again = About(bob).Compose([]wire.Doc{docOf(phone, d)})
	s.AllValid(t, []byte(cipid[1]), again)
	same(t, docOf(phone, d), docOf(phone, parse(t, string(again))))

	timed := timedExample(t)
	d = parse(t, timed)
	if got := d.Tuples[0].Status; len(got) != 1 || got[0].Value != "closed;from=2005-08-15T15:20:00.000Z;until=2005-08-23T00:30:00.000Z" {
		t.Errorf("got %+v", got)
	}
	again = About(bob).Compose([]wire.Doc{docOf(phone, d)})
	s.AllValid(t, []byte(timed), again)
	same(t, docOf(phone, d), docOf(phone, parse(t, string(again))))
}

// timedExample is the example of RFC 4481, which has no declaration.
func timedExample(t *testing.T) string {
	text := rfc.Text(t, 4481)
	from := strings.Index(text, "<presence xmlns=")
	to := strings.Index(text[from:], "</presence>")
	return text[from : from+to+len("</presence>")]
}

// full is a document in which every field and every kind of entry says something.
func full() wire.Doc {
	return wire.Doc{
		Entity: bob, Device: phone, Ver: 3, TTL: 150,
		Notes:   []wire.Note{{Text: "back at <4> & \"later\"", Lang: "en"}, {Text: "à bientôt", Lang: "fr-CH"}},
		Contact: []string{"tel:+41446681800", "https://example.com/bob.vcf", "mailto:bob@example.com"},
		Ext:     []wire.Ext{{Name: "x.example.org/a", Value: []byte{0, 1, 0xff}}},
		Status: []wire.Status{
			{Name: "x.example.org/temperature", Value: "21;unit=C & more"},
			{Name: "activities", Value: "travel meeting;from=2026-11-22T08:00:00.000Z;until=2026-11-22T18:00:00.000Z;note=in Oslo;lang=en"},
			{Name: "activities", Value: "vacation;from=2026-12-20T08:00:00.000Z"},
			{Name: "mood", Value: "happy in_awe;other=a bit %25 cold"}, {Name: "place-is", Value: "audio:quiet video:dark text:ok"},
			{Name: "place-type", Value: "office library"}, {Name: "privacy", Value: "audio text"}, {Name: "sphere", Value: "work"},
			{Name: "status-icon", Value: "https://example.com/i.png"}, {Name: "time-offset", Value: "-60;description=Atlantic"},
			{Name: "user-input", Value: "idle;last-input=2026-11-22T08:00:00.000Z;idle-threshold=600"}, {Name: "class", Value: "work"},
			{Name: "display-name", Value: "Bob <B> Example"}, {Name: "homepage", Value: "https://example.com/?a=b&c=d"},
			{Name: "icon", Value: "https://example.com/me.png"}, {Name: "map", Value: "geo:47.4,8.5"}, {Name: "sound", Value: "https://example.com/a.mp3"},
		},
		Tuples: []wire.Tuple{
			{ID: "im", Basic: wire.Open, IM: wire.DND, Contact: bob.IM(), Priority: 900, Timestamp: 1790000000123},
			{ID: "phone", Basic: wire.Closed, Contact: "tel:+41446681800", Priority: 1, Timestamp: 1790000000000, IdleSince: 1789999999999,
				Notes: []wire.Note{{Text: "in a tunnel", Lang: "en"}, {Text: "im Tunnel", Lang: "de"}},
				Status: []wire.Status{{Name: "x.example.org/signal", Value: "0"}, {Name: "service-class", Value: "electronic"}, {Name: "class", Value: "voice"},
					{Name: "timed-status", Value: "open;from=2027-11-22T08:00:00.000Z;until=2027-11-22T09:00:00.000Z;note=then;lang=en"},
					{Name: "deviceID", Value: "urn:uuid:00000000-0000-0000-0000-000000000001"}, {Name: "privacy", Value: "unknown"}}},
			{ID: "secretary", Basic: wire.Open, Contact: "mailto:office@example.com", Priority: 1000,
				Status: []wire.Status{{Name: "relationship", Value: "assistant"}, {Name: "card", Value: "https://example.com/s.vcf"}, {Name: "status-icon", Value: "https://example.com/i.png"}}},
			{ID: "postal", Basic: wire.Open, Priority: 5, Notes: []wire.Note{{Text: "Box 1, Zürich"}}, Status: []wire.Status{{Name: "service-class", Value: "postal"}},
				Ext: []wire.Ext{{Name: "x.example.org/b", Value: []byte("b")}}},
		},
	}
}

func TestNothingIsLost(t *testing.T) {
	want := full()
	b := About(bob).Compose([]wire.Doc{want})
	rfc.Load(t).AllValid(t, b)
	got := docOf(phone, parse(t, string(b)))
	got.Ver, want.Ver = 0, 0
	// What stands where is settled by the format: a bare contact is a tuple, a card belongs to the person.
	want.Contact = []string{"tel:+41446681800", "mailto:bob@example.com", "https://example.com/bob.vcf"}
	order(want.Status)
	order(got.Status)
	for i := range want.Tuples {
		order(want.Tuples[i].Status)
		order(got.Tuples[i].Status)
	}
	same(t, want, got)
}

func order(list []wire.Status) {
	for i := range list {
		for j := range i {
			if list[i].Name+list[i].Value < list[j].Name+list[j].Value {
				list[i], list[j] = list[j], list[i]
			}
		}
	}
}

// Whatever documents say, what is composed of them is valid, and is understood as it was meant.
func TestComposedIsValid(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var docs [][]byte
	for range 200 {
		var list []wire.Doc
		for i := range 1 + r.IntN(3) {
			d := random(r)
			d.Device = []identity.DeviceID{phone, desk, {9}}[i]
			list = append(list, d)
		}
		docs = append(docs, About(bob).Compose(list))
	}
	for _, d := range docs {
		if _, err := ParsePIDF(d); err != nil && !isProblem(err, TooLarge) {
			t.Fatalf("%v\n%s", err, d)
		}
	}
	rfc.Load(t).AllValid(t, docs...)
}

func isProblem(err error, p Problem) bool {
	var e *Error
	return errors.As(err, &e) && e.Problem == p
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func random(r *rand.Rand) wire.Doc {
	text := func() string {
		return pick(r, "", "x", "a & b", "<i>", "]]>", "\x00\x01", "\xff", "ü\r\n\t", "unknown", "busy away unknown", "meal lunch", "home", "audio:ok", "audio:ok audio:quiet",
			"open", "idle", "42", "0042", "http://a/ b", "tel:+1", "a:b", "%41", "idle;last-input=no", "idle;idle-threshold=0", "x;from=2026-01-01T00:00:00Z",
			"open;from=2026-01-01T00:00:00Z;note=n;lang=-", "away;note=n;lang=en_US", "other;other=mine", "1a", "urn:uuid:1", "away;until=then", "video text audio", "quiet  noisy")
	}
	list := func() (out []wire.Status) {
		for range r.IntN(6) {
			out = append(out, wire.Status{Name: pick(r, pick(r, kinds...).name, text(), "x.example.org/a"), Value: text()})
		}
		return out
	}
	notes := func() (out []wire.Note) {
		for range r.IntN(3) {
			out = append(out, wire.Note{Text: text(), Lang: pick(r, "", "en", "fr-CH", "e n", "123456789", "\x00")})
		}
		return out
	}
	d := wire.Doc{Entity: bob, Notes: notes(), Status: list(), Contact: []string{text(), "https://example.com/%zz", "sip:a@b"}}
	for range r.IntN(4) {
		d.Tuples = append(d.Tuples, wire.Tuple{ID: pick(r, "im", "im", "1", "a b", "ü", "", "x:y", "\x00"), Basic: wire.Basic(r.IntN(4)), IM: wire.IMStatus(r.IntN(8)),
			Contact: pick(r, text(), "im:a@b", "sip:a@[::1]", "mailto:a@b?subject=x%20y", "tel:"), Priority: r.Uint32N(1001), Notes: notes(),
			Timestamp: wire.Time(r.Uint64N(4e12)), IdleSince: wire.Time(r.Uint64N(2) * 1790000000000), Status: list(), Ext: []wire.Ext{{Name: text(), Value: []byte(text())}}})
	}
	if r.IntN(4) == 0 {
		d.PIDF = About(bob).Compose([]wire.Doc{full()})
	}
	return d
}

const foreign = `<?xml version="1.0" encoding="UTF-8"?>
<!-- kept --><p:presence xmlns:p="urn:ietf:params:xml:ns:pidf" xmlns="http://vendor.example/" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
  xmlns:r='urn:ietf:params:xml:ns:pidf:rpid'
 entity = "pres:bob@vendor.example"><p:tuple   id="v1"><p:status><p:basic>closed</p:basic><level unit='dB'>-3</level
></p:status><r:class>a</r:class><thing xmlns="urn:thing" attr="&lt;"><!-- deep --><inner/></thing><p:contact>sms:+1</p:contact></p:tuple>
<p:note xml:lang="de">weg</p:note><dm:person id="v2"><r:mood><r:calm/><far xmlns="urn:x"/></r:mood></dm:person><extra a="1"/></p:presence>
`

// Foreign elements are copied octet for octet, and mean in the new document what they meant in the old.
func TestForeignOctetsAreKept(t *testing.T) {
	d := parse(t, foreign)
	mine := full()
	mine.Device = desk
	theirs := docOf(phone, d)
	theirs.PIDF = d.Octets
	out := About(bob).Compose([]wire.Doc{mine, theirs})
	for _, piece := range []string{"<p:status><p:basic>closed</p:basic><level unit='dB'>-3</level\n></p:status>", `<thing xmlns="urn:thing" attr="&lt;"><!-- deep --><inner/></thing>`, `a="1"/>`} {
		if !bytes.Contains(out, []byte(piece)) {
			t.Errorf("%s is not there:\n%s", piece, out)
		}
	}
	rfc.Load(t).AllValid(t, out, d.Octets)
	if bytes.Contains(out, []byte("v2")) { // the newer document's person counts, and there is one person
		t.Errorf("an older person is there:\n%s", out)
	}
	before, after := tree(d.source.root.children[0]), ""
	for _, e := range parse(t, string(out)).source.root.children {
		if id, _ := e.attr("", "id"); id == "v1" {
			after = tree(e)
		}
	}
	if before != after {
		t.Errorf("\ngot  %s\nwant %s", after, before)
	}
	if again := About(bob).PIDF([]wire.Doc{theirs}); string(again) != foreign {
		t.Errorf("got %s", again)
	}
}

// tree is what an element means, whatever its prefixes are.
func tree(e *element) string {
	s := "{" + e.space + "}" + e.local
	for _, a := range e.attrs {
		s += " {" + a.space + "}" + a.local + "=" + a.value
	}
	s += ":" + e.trimmed()
	for _, c := range e.children {
		s += "(" + tree(c) + ")"
	}
	return s
}

func TestMustUnderstand(t *testing.T) {
	const head = `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:p="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" xmlns:x="urn:x" entity="pres:a@b">`
	tests := []struct {
		name, text string
		mood       string
		skipped    int
	}{
		{"nothing asked", `<dm:person id="a"><r:mood><r:calm/><x:y/></r:mood></dm:person>`, "calm", 1},
		{"a part that must be understood voids the whole", `<dm:person id="a"><r:mood><r:calm/><x:y p:mustUnderstand="1"/></r:mood></dm:person>`, "", 1},
		{"said otherwise", `<dm:person id="a"><r:mood><r:calm/><x:y p:mustUnderstand="true"/></r:mood></dm:person>`, "", 1},
		{"asked for by nobody", `<dm:person id="a"><r:mood><r:calm/><x:y p:mustUnderstand="0"/></r:mood></dm:person>`, "calm", 1},
		{"not PIDF's attribute", `<dm:person id="a"><r:mood><r:calm/><x:y mustUnderstand="1"/></r:mood></dm:person>`, "calm", 1},
		{"within what is ignored it is ignored", `<dm:person id="a"><r:mood><r:calm/><x:y><x:z p:mustUnderstand="1"/></x:y></r:mood></dm:person>`, "calm", 1},
		{"of the person as a whole", `<dm:person id="a"><x:y p:mustUnderstand="1"/><r:mood><r:calm/></r:mood></dm:person>`, "", 1},
		{"what is understood may be asked for", `<dm:person id="a"><r:mood p:mustUnderstand="1"><r:calm/></r:mood></dm:person>`, "calm", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := parse(t, head+`<tuple id="t"><status><basic>open</basic><x:s p:mustUnderstand="1"/></status><contact>tel:+1</contact></tuple>`+tt.text+`</presence>`)
			mood := ""
			if len(d.Status) > 0 {
				mood = d.Status[0].Value
			}
			if mood != tt.mood || len(d.Skipped) != tt.skipped+1 || d.Tuples[0].Basic != wire.Open || d.Tuples[0].Contact != "tel:+1" {
				t.Errorf("mood %q, skipped %+v, %+v", mood, d.Skipped, d.Tuples)
			}
		})
	}
}
