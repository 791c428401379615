package formats

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/rfc"
)

const (
	top  = `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:x="urn:x" xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" entity="pres:a@b">`
	end  = `</presence>`
	open = `<status><basic>open</basic></status>`
)

func tuple(inner string) string { return top + `<tuple id="a">` + inner + `</tuple>` + end }

// broken is a corpus of documents that must be refused: each with the problem that is named, and whether
// the schemas (or the XML parser before them) refuse it too.
var broken = []struct {
	name, text string
	problem    Problem
	schema     bool
}{
	{"nothing", "", NotWellFormed, true},
	{"no XML", "hello", NotWellFormed, true},
	{"cut off", top + "<tuple", NotWellFormed, true},
	{"not closed", top, NotWellFormed, true},
	{"closed crosswise", top + "<note><x:a></note></x:a>" + end, NotWellFormed, true},
	{"two roots", top + end + top + end, NotWellFormed, true},
	{"text behind", top + end + "x", NotWellFormed, true},
	{"late declaration", " <?xml version=\"1.0\"?>" + top + end, NotWellFormed, true},
	{"declaration without version", `<?xml encoding="UTF-8"?>` + top + end, NotWellFormed, true},
	{"XML 1.1", `<?xml version="1.1"?>` + top + end, NotWellFormed, false},
	{"attribute twice", `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="a:b" entity="a:b"/>`, NotWellFormed, true},
	{"attribute twice under two prefixes", top + `<x:a xmlns:y="urn:x" x:b="1" y:b="2"/>` + end, NotWellFormed, false},
	{"attributes without space", top + `<x:a b="1"c="2"/>` + end, NotWellFormed, true},
	{"attribute without quotes", top + `<x:a b=1/>` + end, NotWellFormed, true},
	{"lonely ampersand", top + `<note>a & b</note>` + end, BadEntity, true},
	{"control character", top + "<note>\x01</note>" + end, NotWellFormed, true},
	{"unknown prefix", top + `<y:a/>` + end, BadNamespace, true},
	{"unknown prefix of an attribute", top + `<x:a y:b="1"/>` + end, BadNamespace, false},
	{"prefix of nothing", top + `<x:a xmlns:y=""/>` + end, BadNamespace, false},
	{"prefix of XML's own", top + `<x:a xmlns:xml="urn:y"/>` + end, BadNamespace, false},
	{"document type", `<!DOCTYPE presence>` + top + end, HasDTD, false},
	{"billion laughs", `<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>` + top + `<note>&b;</note>` + end, HasDTD, false},
	{"a file as an entity", `<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + top + `<note>&a;</note>` + end, HasDTD, false},
	{"entity that nobody defined", top + `<note>&nbsp;</note>` + end, BadEntity, true},
	{"Latin-1", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" + top + end, BadEncoding, false},
	{"EBCDIC by name", "<?xml version=\"1.0\" encoding=\"EBCDIC-CP-US\"?>" + top + end, BadEncoding, false},
	{"Latin-1 that calls itself UTF-8", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>" + top + "<note>\xe9</note>" + end, BadEncoding, true},
	{"UTF-8 that calls itself UTF-16", "<?xml version=\"1.0\" encoding=\"UTF-16\"?>" + top + end, BadEncoding, false},
	{"half a UTF-16 unit", "\xfe\xff\x00", BadEncoding, true},
	{"half a character", "\xfe\xff\xd8\x00", BadEncoding, true},
	{"too deep", top + strings.Repeat("<x:a>", 20) + strings.Repeat("</x:a>", 20) + end, TooDeep, false},
	{"too large", top + "<note>" + strings.Repeat("a", MaxDocument) + "</note>" + end, TooLarge, false},
	{"too many elements", top + strings.Repeat("<x:a/>", maxElements) + end, TooLarge, false},
	{"too many attributes", top + "<x:a " + manyAttrs(40) + "/>" + end, TooManyAttrs, false},
	{"too many tuples", top + tuples(9) + end, TooLarge, false},
	{"a long note", top + "<note>" + strings.Repeat("ü", 1025) + "</note>" + end, TooLarge, false},

	{"another format", `<html xmlns="http://www.w3.org/1999/xhtml"/>`, NotOfFormat, true},
	{"no namespace", `<presence entity="pres:a@b"/>`, NotOfFormat, true},
	{"the namespace with the colon of the prose", `<presence xmlns="urn:ietf:params:xml:ns:pidf:" entity="pres:a@b"/>`, NotOfFormat, true},
	{"no entity", `<presence xmlns="urn:ietf:params:xml:ns:pidf"/>`, BadValue, true},
	{"entity without scheme", `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="bob"/>`, BadValue, false},
	{"tuple without id", top + "<tuple>" + open + "</tuple>" + end, BadValue, true},
	{"id that begins with a digit", top + `<tuple id="1">` + open + "</tuple>" + end, BadValue, true},
	{"id with a space", top + `<tuple id="a b">` + open + "</tuple>" + end, BadValue, true},
	{"two tuples of one id", top + `<tuple id="a">` + open + `</tuple><tuple id="a">` + open + "</tuple>" + end, DuplicateID, true},
	{"tuple and person of one id", top + `<tuple id="a">` + open + `</tuple><dm:person id="a"/>` + end, DuplicateID, true},
	{"tuple without status", tuple("<contact>tel:+1</contact>"), NotOfFormat, true},
	{"two statuses", tuple(open + open), NotOfFormat, true},
	{"neither open nor closed", tuple("<status><basic>away</basic></status>"), BadValue, true},
	{"Open", tuple("<status><basic>Open</basic></status>"), BadValue, true},
	{"two basics", tuple("<status><basic>open</basic><basic>closed</basic></status>"), NotOfFormat, true},
	{"basic behind others", tuple("<status><x:a/><basic>open</basic></status>"), NotOfFormat, true},
	{"contact before status", tuple("<contact>tel:+1</contact>" + open), NotOfFormat, true},
	{"two contacts", tuple(open + "<contact>tel:+1</contact><contact>tel:+2</contact>"), NotOfFormat, true},
	{"note before contact", tuple(open + "<note>a</note><contact>tel:+1</contact>"), NotOfFormat, true},
	{"timestamp before note", tuple(open + "<timestamp>2026-11-22T10:00:00Z</timestamp><note>a</note>"), NotOfFormat, true},
	{"extension behind the contact", tuple(open + "<contact>tel:+1</contact><x:a/>"), NotOfFormat, true},
	{"tuple behind a note", top + `<note>a</note><tuple id="a">` + open + "</tuple>" + end, NotOfFormat, true},
	{"contact without scheme", tuple(open + "<contact>bob@example.com</contact>"), NoScheme, false},
	{"contact with a space", tuple(open + "<contact>tel:+1 2</contact>"), BadValue, false},
	{"contact with a broken escape", tuple(open + "<contact>im:a%zz@b</contact>"), BadValue, true},
	{"yesterday", tuple(open + "<timestamp>yesterday</timestamp>"), BadValue, true},
	{"lower-case t and z", tuple(open + "<timestamp>2026-11-22t10:00:00z</timestamp>"), BadValue, true},
	{"no zone", tuple(open + "<timestamp>2026-11-22T10:00:00</timestamp>"), BadValue, false},
	{"30 February", tuple(open + "<timestamp>2026-02-30T10:00:00Z</timestamp>"), BadValue, true},
	{"person's time", top + `<dm:person id="p"><dm:timestamp>now</dm:timestamp></dm:person>` + end, BadValue, true},
}

func manyAttrs(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf(` a%d="1"`, i)
	}
	return s
}

func tuples(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf(`<tuple id="a%d">%s</tuple>`, i, open)
	}
	return s
}

// Every broken document is refused with the problem named; where the schemas can see it, they refuse it
// in the same run that takes our exports.
func TestBrokenDocuments(t *testing.T) {
	var docs [][]byte
	var names []string
	for _, tt := range broken {
		_, err := ParsePIDF([]byte(tt.text))
		if !isProblem(err, tt.problem) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.problem)
		}
		if tt.schema && tt.text != "" { // xmllint calls an empty file empty, and does not judge it
			docs, names = append(docs, []byte(tt.text)), append(names, tt.name)
		}
	}
	s := rfc.Load(t)
	good := About(bob).Compose([]wire.Doc{full()})
	refused := s.Validate(t, append(docs, good)...)
	for i, name := range names {
		if refused[i] == "" {
			t.Errorf("%s: the schemas take it", name)
		}
	}
	if refused[len(docs)] != "" {
		t.Errorf("the whole one among the broken is refused: %s", refused[len(docs)])
	}
}

// What is unusual and right is read.
func TestUnusualDocuments(t *testing.T) {
	plain := tuple(open + "<contact> tel:+1 </contact><note>ü€😀</note>")
	units := utf16.Encode([]rune(plain))
	encoded := func(order binary.AppendByteOrder, mark string) (b []byte) {
		b = []byte(mark)
		for _, u := range units {
			b = order.AppendUint16(b, u)
		}
		return b
	}
	for name, b := range map[string][]byte{
		"as it is":              []byte(plain),
		"with a mark":           []byte("\xef\xbb\xbf" + plain),
		"declared":              []byte("<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\n<!-- c --><?pi x?>" + plain + "<!-- d -->\n"),
		"UTF-16":                encoded(binary.BigEndian, "\xfe\xff"),
		"UTF-16, little":        encoded(binary.LittleEndian, "\xff\xfe"),
		"UTF-16 without a mark": encoded(binary.LittleEndian, ""),
		"with CDATA":            []byte(strings.Replace(plain, " tel:+1 ", "<![CDATA[tel:+1]]>", 1)),
		"with references":       []byte(strings.Replace(plain, "tel", "&#116;&#x65;l", 1)),
	} {
		d, err := ParsePIDF(b)
		if err != nil || d.Tuples[0].Contact != "tel:+1" || d.Tuples[0].Notes[0].Text != "ü€😀" || !bytes.Equal(d.Octets, b) {
			t.Errorf("%s: got %+v, %v", name, d, err)
		}
	}
	for text, want := range map[string]uint32{"0.8": 800, "1": 1000, "1.000": 1000, "0": 0, "0.021": 21, "0.": 0, "1.5": 0, "-1": 0, "0.1234": 0, "many": 0, ".5": 0} {
		if d := parse(t, tuple(open+`<contact priority="`+text+`">tel:+1</contact>`)); d.Tuples[0].Priority != want {
			t.Errorf("priority %s: got %d, want %d", text, d.Tuples[0].Priority, want)
		}
	}
	d := parse(t, top+`<tuple id="a">`+open+`<contact>im:a@b</contact></tuple><tuple id="b"><status><basic>closed</basic></status><contact>im:a@b</contact></tuple>`+end)
	if len(d.Tuples) != 2 || d.Tuples[0].Basic == d.Tuples[1].Basic { // RFC 3863, section 4.1.2: tuples may conflict
		t.Errorf("got %+v", d.Tuples)
	}
	d = parse(t, tuple("<status><x:a/></status><contact>tel:+1</contact>"))
	if len(d.Tuples) != 0 || len(d.Contacts) != 1 || len(d.Skipped) != 2 {
		t.Errorf("a tuple that says neither open nor closed: got %+v", d)
	}
	d = parse(t, `<presence xmlns="urn:ietf:params:xml:ns:pidf" xml:lang="fr" entity="pres:a@b"><note>salut</note><note xml:lang="no language">x</note></presence>`)
	if d.Notes[0].Lang != "fr" || d.Notes[1].Lang != "" {
		t.Errorf("got %+v", d.Notes)
	}
}

// The document that speaks for another hum address is not given out for this one.
func TestOctetsOfAnotherEntity(t *testing.T) {
	other := bob
	other[0]++
	for uri, want := range map[string]bool{bob.Pres(): true, "pres:bob@example.com": true, other.Pres(): false, other.IM(): false, strings.ToUpper(other.Pres()): false} {
		octets := []byte(strings.Replace(top+`<note>mine</note>`+end, "pres:a@b", uri, 1))
		doc := wire.Doc{Entity: bob, Device: phone, PIDF: octets, Notes: []wire.Note{{Text: "native"}}}
		out := About(bob).PIDF([]wire.Doc{doc})
		if got := bytes.Equal(out, octets); got != want || !want && !bytes.Contains(out, []byte("native")) {
			t.Errorf("%s: given out %v\n%s", uri, got, out)
		}
	}
	for _, tt := range broken {
		if out := About(bob).PIDF([]wire.Doc{{Entity: bob, Device: phone, PIDF: []byte(tt.text)}}); bytes.Contains(out, []byte("DOCTYPE")) || !bytes.Contains(out, []byte(bob.Pres())) {
			t.Errorf("%s: given out:\n%s", tt.name, out)
		}
	}
}

// What is read as XML here is XML for others too: the parser against xmllint, over mutations.
func TestWellFormedIsWellFormed(t *testing.T) {
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Fatalf("xmllint is needed, of the package libxml2-utils: %v", err)
	}
	dir := t.TempDir()
	var taken []string
	for i := range len(foreign) {
		for _, c := range []string{"", "<", ">", "&", "\"", "'", "-", "/", " ", "x:", "]", "?", "!"} {
			b := []byte(foreign[:i] + c + foreign[min(len(foreign), i+1):])
			if _, err := parseXML(b); err == nil {
				name := fmt.Sprintf("%d.xml", len(taken))
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
				taken = append(taken, filepath.Join(dir, name))
			}
		}
	}
	if len(taken) < 100 {
		t.Fatalf("only %d mutations are XML", len(taken))
	}
	out, err := exec.Command("xmllint", append([]string{"--nonet", "--noout"}, taken...)...).CombinedOutput()
	if err != nil {
		t.Errorf("not XML for xmllint:\n%.2000s", out)
	}
}
