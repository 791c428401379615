package formats

import (
	"slices"
	"strings"

	"github.com/hum-presence/hum/p2p/wire"
)

// A Rule of a presence authorization document (RFC 4745, RFC 5025) grants something to those whom it
// names; what no rule grants is not granted. Of several rules that name somebody the most generous word
// counts.
type Rule struct {
	ID string

	Anyone   bool     // there is no identity: everybody, authenticated or not
	One      []string // URIs
	Many     []Many
	Sphere   []string // words of which one must be that of the presentity now
	Validity []Span
	Foreign  []string // conditions that are not understood: then the rule never holds

	Handling string // of subscriptions: block, confirm, polite-block, allow, or "" for no word
	Fetch    string // of fetches, in the same words; "" is as Handling
	View     string // the view that is shown; "" is that of the rule
	Show     Show
}

// Many names everybody who is authenticated, but for exceptions.
type Many struct {
	Domain        string // only of this domain, if not ""
	Except        []string
	ExceptDomains []string
}

// A Span is a time during which a rule holds.
type Span struct{ From, Until wire.Time }

// Show is what of a document is shown (RFC 5025, section 3.3).
type Show struct {
	Services, Persons, Devices Which
	All                        bool     // every attribute
	Attributes                 []string // activities, class, deviceID, mood, …, note: those that have a permission of their own
	Input                      string   // of user-input: "", false, bare, thresholds, full
	Others                     []Attribute
}

// Which selects services, persons or devices.
type Which struct {
	All                         bool
	IDs, Classes, URIs, Schemes []string // of devices, URIs are device ids
}

// An Attribute is one without a permission of its own.
type Attribute struct{ Name, Space string }

func (w Which) isZero() bool {
	return !w.All && len(w.IDs)+len(w.Classes)+len(w.URIs)+len(w.Schemes) == 0
}

// Space returns the namespace of the element of a status entry, for [Attribute].
func Space(name string) string {
	if k := kindOf(name); k != nil {
		return k.space
	}
	return nsHum
}

var (
	handlings      = strings.Fields("block confirm polite-block allow")
	inputs         = strings.Fields("false bare thresholds full")
	attributeNames = strings.Fields("activities class deviceID mood place-is place-type privacy relationship status-icon sphere time-offset note")
)

// AppendRules appends the document of the rules. One that names nobody, or holds a condition that is not
// understood, grants nothing and is left out.
func AppendRules(b []byte, rules []Rule) []byte {
	w := &writer{}
	ids := map[string]bool{}
	for i, r := range rules {
		if !r.Anyone && len(r.One)+len(r.Many) == 0 || len(r.Foreign) > 0 {
			continue
		}
		id := r.ID
		for !nameForm.MatchString(id) || ids[id] {
			id = strings.Map(nameRune, "rule-"+id) + strings.Repeat("_", i%8)
			i++
		}
		ids[id] = true
		w.within("rule", func() {
			w.conditions(r)
			w.within("actions", func() { w.actions(r) })
			w.within("transformations", func() { w.show(r.Show) })
		}, "id", id)
	}
	return append(b, w.document("ruleset", nsPolicy)...)
}

// nameRune makes a rune one that may stand in a name.
func nameRune(r rune) rune {
	if nameForm.MatchString("_" + string(r)) {
		return r
	}
	return '_'
}

func (w *writer) conditions(r Rule) {
	if r.Anyone && len(r.Sphere)+len(r.Validity) == 0 {
		return
	}
	w.within("conditions", func() {
		if !r.Anyone {
			w.within("identity", func() { w.identity(r) })
		}
		if len(r.Sphere) > 0 {
			w.empty("sphere", "value", strings.Join(r.Sphere, " "))
		}
		if len(r.Validity) > 0 {
			w.within("validity", func() {
				for _, s := range r.Validity {
					w.leaf("from", formatTime(s.From))
					w.leaf("until", formatTime(s.Until))
				}
			})
		}
	})
}

func (w *writer) identity(r Rule) {
	for _, uri := range r.One {
		w.empty("one", "id", uri)
	}
	for _, m := range r.Many {
		w.within("many", func() {
			for _, uri := range m.Except {
				w.empty("except", "id", uri)
			}
			for _, d := range m.ExceptDomains {
				w.empty("except", "domain", d)
			}
		}, "domain", m.Domain)
	}
}

func (w *writer) actions(r Rule) {
	if slices.Contains(handlings, r.Handling) {
		w.leaf("p:sub-handling", r.Handling)
	}
	if slices.Contains(handlings, r.Fetch) {
		w.leaf("h:fetch-handling", r.Fetch)
	}
	if r.View != "" {
		w.leaf("h:view", r.View)
	}
}

func (w *writer) show(s Show) {
	w.which("p:provide-services", "p:all-services", "p:service-uri", s.Services)
	w.which("p:provide-persons", "p:all-persons", "", s.Persons)
	w.which("p:provide-devices", "p:all-devices", "p:deviceID", s.Devices)
	if s.All {
		w.empty("p:provide-all-attributes")
	}
	for _, name := range attributeNames {
		if slices.Contains(s.Attributes, name) {
			w.leaf("p:provide-"+name, "true")
		}
	}
	if slices.Contains(inputs, s.Input) {
		w.leaf("p:provide-user-input", s.Input)
	}
	for _, o := range s.Others {
		if o.Name != "" && o.Space != "" {
			w.leaf("p:provide-unknown-attribute", "true", "name", o.Name, "ns", o.Space)
		}
	}
}

func (w *writer) which(name, all, uri string, s Which) {
	if s.isZero() {
		return
	}
	w.within(name, func() {
		if s.All {
			w.empty(all)
			return
		}
		for _, u := range s.URIs {
			if uri != "" {
				w.leaf(uri, u)
			}
		}
		for _, scheme := range s.Schemes {
			if name == "p:provide-services" {
				w.leaf("p:service-uri-scheme", scheme)
			}
		}
		for _, id := range s.IDs {
			w.leaf("p:occurrence-id", id)
		}
		for _, c := range s.Classes {
			w.leaf("p:class", c)
		}
	})
}

// ParseRules reads a presence authorization document. What is wrong with it is an *[Error]; actions and
// transformations that are not understood grant nothing here.
func ParseRules(b []byte) ([]Rule, error) {
	src, err := parseXML(b)
	if err != nil {
		return nil, err
	}
	root := src.root
	if !root.is(nsPolicy, "ruleset") {
		return nil, problem(NotOfFormat, root.line, "rules begin with <ruleset> of %s, and not with <%s> of %q", nsPolicy, root.local, root.space)
	}
	var rules []Rule
	for _, e := range root.children {
		if !e.is(nsPolicy, "rule") {
			return nil, problem(NotOfFormat, e.line, "a ruleset holds rules, and no <%s>", e.local)
		}
		r, err := rule(e)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(rules, func(o Rule) bool { return o.ID == r.ID }) {
			return nil, problem(DuplicateID, e.line, "a second rule with id %q", r.ID)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func rule(e *element) (r Rule, err error) {
	id, _ := e.attr("", "id")
	if r.ID = strings.Trim(id, space); !nameForm.MatchString(r.ID) {
		return r, problem(BadValue, e.line, "rule id %q: an id begins with a letter or _, and goes on with letters, digits, dot, - and _", id)
	}
	r.Anyone = true
	step := 0
	for _, c := range e.children {
		at := slices.Index([]string{"conditions", "actions", "transformations"}, c.local) + 1
		switch {
		case c.space != nsPolicy || at == 0:
			return r, problem(NotOfFormat, c.line, "a rule has conditions, actions and transformations, and no <%s>", c.local)
		case at <= step:
			return r, problem(NotOfFormat, c.line, "<%s> comes too late or twice", c.local)
		case at == 1:
			err = r.conditions(c)
		case at == 2:
			err = r.actions(c)
		default:
			err = r.transformations(c)
		}
		if err != nil {
			return r, err
		}
		step = at
	}
	return r, nil
}

func (r *Rule) conditions(e *element) error {
	for _, c := range e.children {
		var err error
		switch {
		case c.is(nsPolicy, "identity") && !r.Anyone:
			err = problem(NotOfFormat, c.line, "a second identity")
		case c.is(nsPolicy, "identity"):
			r.Anyone = false
			err = r.identity(c)
		case c.is(nsPolicy, "sphere"):
			value, ok := c.attr("", "value")
			if words := strings.Fields(value); ok && len(words) > 0 && len(r.Sphere) == 0 {
				r.Sphere = words
			} else {
				err = problem(BadValue, c.line, "a sphere has a value, and there is one")
			}
		case c.is(nsPolicy, "validity"):
			err = r.validity(c)
		default:
			r.Foreign = append(r.Foreign, c.local)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Rule) identity(e *element) error {
	for _, c := range e.children {
		switch {
		case c.is(nsPolicy, "one"):
			id, _ := c.attr("", "id")
			if id = strings.Trim(id, space); !IsURI(id) {
				return problem(BadValue, c.line, "one names somebody by a URI, and %q is none", id)
			}
			if len(c.children) > 0 { // what stands within narrows it, in a way that is not understood
				r.Foreign = append(r.Foreign, c.children[0].local)
			}
			r.One = append(r.One, id)
		case c.is(nsPolicy, "many"):
			m := Many{}
			m.Domain, _ = c.attr("", "domain")
			for _, x := range c.children {
				id, isID := x.attr("", "id")
				domain, isDomain := x.attr("", "domain")
				switch {
				case !x.is(nsPolicy, "except"):
					r.Foreign = append(r.Foreign, x.local)
				case isID && IsURI(strings.Trim(id, space)):
					m.Except = append(m.Except, strings.Trim(id, space))
				case isDomain && domain != "":
					m.ExceptDomains = append(m.ExceptDomains, domain)
				default:
					return problem(BadValue, x.line, "an exception names an id that is a URI, or a domain")
				}
			}
			r.Many = append(r.Many, m)
		default:
			r.Foreign = append(r.Foreign, c.local)
		}
	}
	if len(e.children) == 0 {
		return problem(NotOfFormat, e.line, "an identity that names nobody")
	}
	return nil
}

func (r *Rule) validity(e *element) error {
	if len(e.children) == 0 || len(e.children)%2 != 0 || len(r.Validity) > 0 {
		return problem(NotOfFormat, e.line, "a validity has pairs of from and until, and there is one")
	}
	for i := 0; i < len(e.children); i += 2 {
		from, until := e.children[i], e.children[i+1]
		a, okA := parseTime(from.trimmed())
		b, okB := parseTime(until.trimmed())
		if !from.is(nsPolicy, "from") || !until.is(nsPolicy, "until") || !okA || !okB {
			return problem(BadValue, from.line, "a validity has pairs of from and until, each a time such as 2026-11-22T18:30:00Z")
		}
		r.Validity = append(r.Validity, Span{a, b})
	}
	return nil
}

func (r *Rule) actions(e *element) error {
	for _, c := range e.children {
		word := c.trimmed()
		switch {
		case c.is(nsRules, "sub-handling"), c.is(nsHum, "fetch-handling"):
			if !slices.Contains(handlings, word) {
				return problem(BadValue, c.line, "%s is block, confirm, polite-block or allow, and not %q", c.local, word)
			}
			if c.space == nsRules {
				r.Handling = word
			} else {
				r.Fetch = word
			}
		case c.is(nsHum, "view"):
			r.View = word
		}
	}
	return nil
}

func (r *Rule) transformations(e *element) (err error) {
	s := &r.Show
	for _, c := range e.children {
		name, ok := strings.CutPrefix(c.local, "provide-")
		switch {
		case c.space != nsRules || !ok:
		case name == "services":
			s.Services = readWhich(c)
		case name == "persons":
			s.Persons = readWhich(c)
		case name == "devices":
			s.Devices = readWhich(c)
		case name == "all-attributes":
			s.All = true
		case name == "user-input":
			if s.Input = c.trimmed(); !slices.Contains(inputs, s.Input) {
				return problem(BadValue, c.line, "provide-user-input is false, bare, thresholds or full, and not %q", s.Input)
			}
		case name == "unknown-attribute":
			yes, err := truth(c)
			if err != nil {
				return err
			}
			o := Attribute{}
			o.Name, _ = c.attr("", "name")
			o.Space, _ = c.attr("", "ns")
			if o.Name == "" || o.Space == "" {
				return problem(BadValue, c.line, "an unknown attribute has a name and a namespace (ns)")
			}
			if yes {
				s.Others = append(s.Others, o)
			}
		case slices.Contains(attributeNames, name):
			yes, err := truth(c)
			if err != nil {
				return err
			}
			if yes && !slices.Contains(s.Attributes, name) {
				s.Attributes = append(s.Attributes, name)
			}
		}
	}
	return nil
}

// truth reads a boolean (XML Schema).
func truth(e *element) (bool, error) {
	switch e.trimmed() {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, problem(BadValue, e.line, "%s is true or false, and not %q", e.local, e.trimmed())
}

func readWhich(e *element) (w Which) {
	for _, c := range e.children {
		if c.space != nsRules {
			continue
		}
		text := c.trimmed()
		switch c.local {
		case "all-services", "all-persons", "all-devices":
			w.All = true
		case "service-uri", "deviceID":
			w.URIs = append(w.URIs, text)
		case "service-uri-scheme":
			w.Schemes = append(w.Schemes, text)
		case "occurrence-id":
			w.IDs = append(w.IDs, text)
		case "class":
			w.Classes = append(w.Classes, text)
		}
	}
	return w
}
