package formats

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet/rfc"
)

func TestWinfo(t *testing.T) {
	i := Winfo{Version: 3, Resource: bob.Pres(), Watchers: []Watcher{
		{URI: "pres:alice@example.com", ID: "a", Status: "active", Event: "approved", Subscribed: 509 * time.Second, Expiration: time.Hour},
		{URI: "pres:carol@example.com", ID: "b", Status: "pending", Event: "subscribe", Name: `Carol "C" <&>`},
		{URI: "pres:dan@example.com", ID: "c", Status: "waiting", Event: "timeout"},
		{URI: "pres:eve@example.com", ID: "d", Status: "gone", Event: "rejected"}, {URI: "nobody", ID: "e", Status: "active", Event: "approved"},
	}}
	for s, status := range watcherStatus {
		for e, event := range watcherEvents {
			i.Watchers = append(i.Watchers, Watcher{URI: "pres:x@y", ID: string(rune('A'+8*s+e)) + "1", Status: status, Event: event})
		}
	}
	b := i.Append(nil)
	rfc.Load(t).AllValid(t, b, Winfo{Resource: bob.Pres()}.Append(nil))
	if got := bytes.Count(b, []byte("<watcher ")); got != 3+32 {
		t.Errorf("%d rows:\n%s", got, b)
	}
	for _, want := range []string{`version="3" state="full"`, `duration-subscribed="509"`, `expiration="3600"`, `display-name="Carol &quot;C&quot; &lt;&amp;&gt;"`} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s is not there:\n%s", want, b)
		}
	}
}

func someRules() []Rule {
	return []Rule{
		{ID: "friends", One: []string{"pres:alice@example.com", "pres:carol@example.com"}, Handling: "allow", Fetch: "confirm", View: "friends", Show: Show{
			Services: Which{Schemes: []string{"im", "tel"}, URIs: []string{"sip:b@example.com"}, IDs: []string{"im"}, Classes: []string{"work"}},
			Persons:  Which{All: true}, Devices: Which{URIs: []string{"urn:uuid:1"}, IDs: []string{"a"}},
			Attributes: []string{"activities", "mood", "note"}, Input: "bare", Others: []Attribute{{"card", nsCIPID}, {"x.example.org/t", nsHum}}}},
		{ID: "rest", Many: []Many{{Except: []string{"pres:eve@example.com", "pres:alice@example.com"}}, {Domain: "example.org", ExceptDomains: []string{"a.example.org"}}}, Handling: "confirm"},
		{ID: "open", Anyone: true, Handling: "polite-block", Show: Show{All: true, Services: Which{All: true}, Input: "full"}},
		{ID: "later", One: []string{"pres:dan@example.com"}, Sphere: []string{"work", "home"}, Validity: []Span{{1790000000000, 1790000001000}}, Handling: "block"},
	}
}

func TestRulesRoundTrip(t *testing.T) {
	want := someRules()
	b := AppendRules(nil, want)
	rfc.Load(t).AllValid(t, b, AppendRules(nil, nil))
	got, err := ParseRules(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v\n%s", err, got, want, b)
	}
	// Names that are no ids are made ids, and each once.
	b = AppendRules(nil, []Rule{{ID: "a b", Anyone: true}, {ID: "a b", Anyone: true}, {Anyone: true}, {ID: "1", Anyone: true}, {ID: "rule-1", Anyone: true}, {ID: "nobody"}})
	if got, err := ParseRules(b); err != nil || len(got) != 5 {
		t.Errorf("%v\n%s", err, b)
	}
	rfc.Load(t).AllValid(t, b)
}

// The rules that RFC 4745 and RFC 5025 print are read; so far as they are documents and not parts, the
// schemas take them too.
func TestRFCRules(t *testing.T) {
	form := regexp.MustCompile(`(?s)<\?xml version="1\.0" encoding="UTF-8"\?>\s*<(cr:)?ruleset.*?</(cr:)?ruleset>`)
	list := form.FindAllString(rfc.Text(t, 5025), -1)
	if len(list) != 1 {
		t.Fatalf("found %d in RFC 5025", len(list))
	}
	got, err := ParseRules([]byte(list[0]))
	want := []Rule{{ID: "a", One: []string{"sip:user@example.com"}, Handling: "allow", Show: Show{
		Services: Which{Schemes: []string{"sip", "mailto"}}, Persons: Which{All: true}, Attributes: []string{"activities"}, Input: "bare",
		Others: []Attribute{{"foo", "urn:vendor-specific:foo-namespace"}}}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	common := form.FindAllString(rfc.Text(t, 4745), -1)
	if len(common) < 6 {
		t.Fatalf("found %d in RFC 4745", len(common))
	}
	s := rfc.Load(t)
	s.AllValid(t, []byte(list[0]))
	for _, text := range common {
		rules, err := ParseRules([]byte(text))
		if err != nil || len(rules) == 0 {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		s.AllValid(t, AppendRules(nil, rules))
	}
}

func TestBrokenRules(t *testing.T) {
	const start, end = `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:p="urn:ietf:params:xml:ns:pres-rules">`, `</ruleset>`
	one := func(conditions, actions, shown string) string {
		return start + `<rule id="a"><conditions>` + conditions + `</conditions><actions>` + actions + `</actions><transformations>` + shown + `</transformations></rule>` + end
	}
	tests := []struct {
		name, text string
		problem    Problem
		schema     bool
	}{
		{"another format", `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="a:b"/>`, NotOfFormat, false},
		{"no rule", start + `<a/>` + end, NotOfFormat, true},
		{"rule without id", start + `<rule/>` + end, BadValue, true},
		{"two of one id", start + `<rule id="a"/><rule id="a"/>` + end, DuplicateID, true},
		{"crosswise", start + `<rule id="a"><actions/><conditions/></rule>` + end, NotOfFormat, true},
		{"foreign part of a rule", start + `<rule id="a"><p:x/></rule>` + end, NotOfFormat, true},
		{"handling", one(`<sphere value="work"/>`, `<p:sub-handling>maybe</p:sub-handling>`, ""), BadValue, true},
		{"nobody", one(`<identity/>`, "", ""), NotOfFormat, true},
		{"one without id", one(`<identity><one/></identity>`, "", ""), BadValue, true},
		{"one that is no URI", one(`<identity><one id="alice"/></identity>`, "", ""), BadValue, false},
		{"two identities", one(`<identity><many/></identity><identity><many/></identity>`, "", ""), NotOfFormat, false},
		{"half a validity", one(`<validity><from>2026-11-22T18:30:00Z</from></validity>`, "", ""), NotOfFormat, true},
		{"validity of words", one(`<validity><from>now</from><until>then</until></validity>`, "", ""), BadValue, true},
		{"truth", one(`<sphere value="a"/>`, "", `<p:provide-mood>yes</p:provide-mood>`), BadValue, true},
		{"input", one(`<sphere value="a"/>`, "", `<p:provide-user-input>some</p:provide-user-input>`), BadValue, true},
		{"unknown attribute without name", one(`<sphere value="a"/>`, "", `<p:provide-unknown-attribute ns="a:b">true</p:provide-unknown-attribute>`), BadValue, true},
		{"document type", `<!DOCTYPE x>` + start + end, HasDTD, false},
	}
	s := rfc.Load(t)
	for _, tt := range tests {
		if _, err := ParseRules([]byte(tt.text)); !isProblem(err, tt.problem) {
			t.Errorf("%s: got %v", tt.name, err)
		}
		if refused := s.Validate(t, []byte(tt.text)); tt.schema && len(refused) == 0 {
			t.Errorf("%s: the schemas take it", tt.name)
		}
	}
	// A condition that is not understood never holds, and that is kept.
	rules, err := ParseRules([]byte(one(`<identity><many><p:x/></many></identity><p:weather/>`, "", "")))
	if err != nil || len(rules[0].Foreign) != 2 {
		t.Errorf("got %+v, %v", rules, err)
	}
}

func FuzzRules(f *testing.F) {
	f.Add(AppendRules(nil, someRules()))
	r := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		f.Add([]byte(strings.Replace(string(AppendRules(nil, someRules())), "one", pick(r, "two", "many"), r.IntN(9))))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, err := ParseRules(b)
		if err != nil {
			return
		}
		text := AppendRules(nil, rules)
		again, err := ParseRules(text)
		if err != nil {
			if isProblem(err, TooLarge) {
				return
			}
			t.Fatalf("%v\n%s", err, text)
		}
		if out := AppendRules(nil, again); !bytes.Equal(out, text) {
			t.Fatalf("written otherwise the second time:\n%s\n%s", text, out)
		}
	})
}
