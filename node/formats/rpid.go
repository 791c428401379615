package formats

import (
	"slices"
	"strconv"
	"strings"
)

// Where an element of the RPID family may stand (RFC 4480, table 1).
const (
	ofPerson = 1 << iota
	ofTuple
	ofDevice
)

// A kind is one element of the RPID family: where it stands, what may be added to it, and how its content
// becomes a text and back. The name of the element is the name of the status entry (SPEC 4.1, 9.2).
type kind struct {
	name, space string
	where       int
	timed       bool // from and until
	noted       bool // note
	repeats     bool // more than once in one parent
	read        func(e *element, v *value) bool
	write       func(w *writer, v value) (ok bool) // the content
	plain       bool                               // its content is a text, not elements
	attrs       []string                           // parameters that are attributes
}

// qname is the element's name with our prefix.
func (k *kind) qname() string {
	for _, p := range prefixes {
		if p.space == k.space {
			return p.prefix + ":" + k.name
		}
	}
	return k.name
}

var kinds = []kind{
	{name: "activities", space: nsRPID, where: ofPerson, timed: true, noted: true, repeats: true, read: readWords(activities), write: writeWords(activities)},
	{name: "mood", space: nsRPID, where: ofPerson, timed: true, noted: true, repeats: true, read: readWords(moods), write: writeWords(moods)},
	{name: "place-is", space: nsRPID, where: ofPerson, timed: true, noted: true, repeats: true, read: readPlace, write: writePlace},
	{name: "place-type", space: nsRPID, where: ofPerson, timed: true, noted: true, repeats: true, read: readLocation, write: writeLocation},
	{name: "privacy", space: nsRPID, where: ofPerson | ofTuple, timed: true, noted: true, repeats: true, read: readWords(privacies), write: writePrivacy},
	{name: "relationship", space: nsRPID, where: ofTuple, noted: true, read: readWords(relationships), write: writeWord(relationships)},
	{name: "service-class", space: nsRPID, where: ofTuple, noted: true, read: readWords(serviceClasses), write: writeWord(serviceClasses)},
	{name: "sphere", space: nsRPID, where: ofPerson, timed: true, repeats: true, read: readSphere, write: writeSphere},
	{name: "status-icon", space: nsRPID, where: ofPerson | ofTuple, timed: true, repeats: true, read: readURI, write: writeURI, plain: true},
	{name: "time-offset", space: nsRPID, where: ofPerson, timed: true, repeats: true, read: readNumber, write: writeNumber, plain: true, attrs: []string{"description"}},
	{name: "user-input", space: nsRPID, where: ofPerson | ofTuple | ofDevice, read: readInput, write: writeInput, plain: true, attrs: []string{"last-input", "idle-threshold"}},
	{name: "class", space: nsRPID, where: ofPerson | ofTuple, read: readToken, write: writeToken, plain: true},
	{name: "timed-status", space: nsTimed, where: ofTuple, timed: true, noted: true, repeats: true, read: readTimed, write: writeTimed},
	{name: "deviceID", space: nsModel, where: ofTuple, repeats: true, read: readURI, write: writeURI, plain: true},
	{name: "card", space: nsCIPID, where: ofPerson | ofTuple, read: readURI, write: writeURI, plain: true},
	{name: "display-name", space: nsCIPID, where: ofPerson | ofTuple, read: readName, write: writeName, plain: true},
	{name: "homepage", space: nsCIPID, where: ofPerson | ofTuple, read: readURI, write: writeURI, plain: true},
	{name: "icon", space: nsCIPID, where: ofPerson | ofTuple, read: readURI, write: writeURI, plain: true},
	{name: "map", space: nsCIPID, where: ofPerson | ofTuple, read: readURI, write: writeURI, plain: true},
	{name: "sound", space: nsCIPID, where: ofPerson | ofTuple, read: readURI, write: writeURI, plain: true},
}

// kindOf finds a kind by the name of its status entry.
func kindOf(name string) *kind {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &kinds[i]
}

// A set is the words of an enumeration; other says that a text of one's own may stand beside them.
type set struct {
	words []string
	other bool
}

var (
	activities = set{strings.Fields(`appointment away breakfast busy dinner holiday in-transit looking-for-work lunch meal meeting
		on-the-phone performance permanent-absence playing presentation shopping sleeping spectator steering travel tv unknown
		vacation working worship`), true}
	moods = set{strings.Fields(`afraid amazed angry annoyed anxious ashamed bored brave calm cold confused contented cranky curious
		depressed disappointed disgusted distracted embarrassed excited flirtatious frustrated grumpy guilty happy hot humbled
		humiliated hungry hurt impressed in_awe in_love indignant interested invincible jealous lonely mean moody nervous neutral
		offended playful proud relieved remorseful restless sad sarcastic serious shocked shy sick sleepy stressed surprised thirsty
		unknown worried`), true}
	privacies      = set{words: []string{"audio", "text", "video", "unknown"}}
	relationships  = set{strings.Fields("assistant associate family friend self supervisor unknown"), true}
	serviceClasses = set{words: strings.Fields("courier electronic freight in-person postal unknown")}
	spheres        = set{words: []string{"home", "work", "unknown"}}
	// places are the words of place-is, in the order of the schema.
	places = []struct {
		medium string
		words  []string
	}{
		{"audio", []string{"noisy", "ok", "quiet", "unknown"}},
		{"video", []string{"toobright", "ok", "dark", "unknown"}},
		{"text", []string{"uncomfortable", "inappropriate", "ok", "unknown"}},
	}
)

// content are the children of e that are neither notes nor of foreign making.
func (e *element) content() (out []*element) {
	for _, c := range e.children {
		if c.space == e.space && c.local != "note" {
			out = append(out, c)
		}
	}
	return out
}

// readWords reads one element a word, and an other.
func readWords(s set) func(*element, *value) bool {
	return func(e *element, v *value) bool {
		var words []string
		for _, c := range e.content() {
			switch {
			case slices.Contains(s.words, c.local) && !slices.Contains(words, c.local):
				words = append(words, c.local)
			case c.local == "other" && s.other && v.get("other") == "":
				v.set("other", c.trimmed())
			}
		}
		v.text = strings.Join(words, " ")
		return v.text != "" || len(v.params) > 0 && v.get("other") != ""
	}
}

// sorted parts words into those of the set and the rest, which joins what is of one's own.
func (s set) sorted(v value) (known []string, other string) {
	other = strings.TrimSpace(v.get("other"))
	for _, w := range v.words() {
		switch {
		case !slices.Contains(s.words, w):
			other = strings.TrimSpace(other + " " + w)
		case !slices.Contains(known, w):
			known = append(known, w)
		}
	}
	if len(known) > 1 || other != "" { // RFC 4480: unknown excludes what stands beside it
		known = slices.DeleteFunc(known, func(w string) bool { return w == "unknown" })
	}
	return known, other
}

// writeWords writes any number of words. The schema lacks lunch, which the text of RFC 4480 has: a
// lunch is written as the meal that it is.
func writeWords(s set) func(*writer, value) bool {
	return func(w *writer, v value) bool {
		known, other := s.sorted(v)
		for _, word := range known {
			if word == "lunch" {
				word = "meal"
			}
			w.empty("r:" + word)
		}
		if other != "" {
			w.leaf("r:other", other)
		}
		return len(known) > 0 || other != ""
	}
}

// writeWord writes the one word that may be.
func writeWord(s set) func(*writer, value) bool {
	return func(w *writer, v value) bool {
		known, other := s.sorted(v)
		switch {
		case len(known) == 1 && other == "":
			w.empty("r:" + known[0])
		case len(known) == 0 && other != "" && s.other:
			w.leaf("r:other", other)
		default:
			return false
		}
		return true
	}
}

func writePrivacy(w *writer, v value) bool {
	known, other := privacies.sorted(v)
	for _, word := range privacies.words { // the order of the schema
		if slices.Contains(known, word) {
			w.empty("r:" + word)
		}
	}
	return len(known) > 0 && other == ""
}

func readPlace(e *element, v *value) bool {
	var said []string
	for _, p := range places {
		for _, c := range e.content() {
			if c.local != p.medium {
				continue
			}
			for _, word := range c.content() {
				if slices.Contains(p.words, word.local) {
					said = append(said, p.medium+":"+word.local)
					break
				}
			}
			break
		}
	}
	v.text = strings.Join(said, " ")
	return v.text != ""
}

func writePlace(w *writer, v value) bool {
	said := v.words()
	written := 0
	for _, p := range places {
		for _, s := range said {
			if medium, word, _ := strings.Cut(s, ":"); medium == p.medium && slices.Contains(p.words, word) {
				w.within("r:"+medium, func() { w.empty("r:" + word) })
				written++
				break
			}
		}
	}
	return written > 0 && written == len(said)
}

func readLocation(e *element, v *value) bool {
	var words []string
	for _, c := range e.children {
		switch {
		case c.space == nsLocation && wordForm.MatchString(c.local) && !slices.Contains(words, c.local):
			words = append(words, c.local)
		case c.is(nsRPID, "other") && v.get("other") == "":
			v.set("other", c.trimmed())
		}
	}
	v.text = strings.Join(words, " ")
	return v.text != "" || v.get("other") != ""
}

func writeLocation(w *writer, v value) bool {
	words := v.words()
	if len(words) == 0 && v.get("other") != "" {
		w.leaf("r:other", v.get("other"))
		return true
	}
	for _, word := range words {
		if !wordForm.MatchString(word) {
			return false
		}
		w.empty("l:" + word)
	}
	return len(words) > 0
}

// readSphere also takes the bare text of RFC 4480's own example, which its schema refuses.
func readSphere(e *element, v *value) bool {
	v.text = e.trimmed()
	for _, c := range e.children {
		if c.is(nsRPID, c.local) && slices.Contains(spheres.words, c.local) {
			v.text = c.local
			break
		}
		if c.is(nsHum, "sphere") {
			v.text = c.trimmed()
		}
	}
	return v.text != ""
}

func writeSphere(w *writer, v value) bool {
	switch {
	case v.text == "":
		return false
	case slices.Contains(spheres.words, v.text):
		w.empty("r:" + v.text)
	default:
		w.leaf("h:sphere", v.text)
	}
	return true
}

func readURI(e *element, v *value) bool {
	v.text = e.trimmed()
	return IsURI(v.text)
}

func writeURI(w *writer, v value) bool { return IsURI(v.text) && w.inline(v.text) }

func readNumber(e *element, v *value) bool {
	n, err := strconv.ParseInt(e.trimmed(), 10, 32)
	v.text = strconv.FormatInt(n, 10)
	if d, ok := e.attr("", "description"); ok {
		v.set("description", d)
	}
	return err == nil
}

func writeNumber(w *writer, v value) bool {
	n, err := strconv.ParseInt(v.text, 10, 32)
	return err == nil && w.inline(strconv.FormatInt(n, 10))
}

func readInput(e *element, v *value) bool {
	v.text = e.trimmed()
	if s, ok := e.attr("", "last-input"); ok {
		if t, ok := parseTime(s); ok {
			v.set("last-input", formatTime(t))
		}
	}
	if s, ok := e.attr("", "idle-threshold"); ok {
		if n, err := strconv.ParseUint(s, 10, 32); err == nil && n > 0 {
			v.set("idle-threshold", strconv.FormatUint(n, 10))
		}
	}
	return v.text == "idle" || v.text == "active"
}

func writeInput(w *writer, v value) bool {
	_, timed := parseTime(v.get("last-input"))
	n, err := strconv.ParseUint(v.get("idle-threshold"), 10, 32)
	return (v.text == "idle" || v.text == "active") && (timed || v.get("last-input") == "") &&
		(err == nil && n > 0 || v.get("idle-threshold") == "") && w.inline(v.text)
}

// A token has no white space at its ends, and no more than one space within (XML Schema).
func readToken(e *element, v *value) bool {
	v.text = strings.Join(strings.Fields(e.text), " ")
	return v.text != ""
}

func writeToken(w *writer, v value) bool {
	return v.text != "" && v.text == strings.Join(strings.Fields(v.text), " ") && w.inline(v.text)
}

func readName(e *element, v *value) bool {
	v.text = e.trimmed()
	if langForm.MatchString(e.lang) {
		v.set("lang", e.lang)
	}
	return v.text != ""
}

// writeName leaves out the language: RFC 4482 wants it, and its schema refuses it.
func writeName(w *writer, v value) bool {
	return v.text != "" && v.get("lang") == "" && w.inline(v.text)
}

func readTimed(e *element, v *value) bool {
	for _, c := range e.content() {
		if c.local == "basic" {
			v.text = c.trimmed()
		}
	}
	return v.get("from") != "" && (v.text == "open" || v.text == "closed" || v.text == "" && v.get("note") != "")
}

// writeTimed writes basic only: the note, which comes behind it here, is written by the caller.
func writeTimed(w *writer, v value) bool {
	if v.get("from") == "" || v.text != "open" && v.text != "closed" && v.text != "" {
		return false
	}
	if v.text != "" {
		w.leaf("t:basic", v.text)
	}
	if note := v.get("note"); note != "" {
		w.leaf("t:note", note, "xml:lang", langOr(v.get("lang")))
	}
	return v.text != "" || v.get("note") != ""
}

// inline writes the text of the element that is open.
func (w *writer) inline(text string) bool {
	w.b = appendText(w.b, text, false)
	return true
}

// langOr is lang if it is a language tag, else nothing.
func langOr(lang string) string {
	if langForm.MatchString(lang) {
		return lang
	}
	return ""
}

// readKind reads an element of the family as a status entry; no means that it does not say what its
// format has it say.
func readKind(k *kind, e *element) (v value, ok bool) {
	if k.timed {
		for _, name := range []string{"from", "until"} {
			s, there := e.attr("", name)
			if !there {
				continue
			}
			t, ok := parseTime(s)
			if !ok {
				return v, false
			}
			v.set(name, formatTime(t))
		}
	}
	if k.noted {
		for _, c := range e.children {
			if c.is(e.space, "note") && c.trimmed() != "" {
				v.set("note", c.trimmed())
				v.set("lang", langOr(c.lang))
				break
			}
		}
	}
	ok = k.read(e, &v)
	return v, ok
}

// writeKind writes a status entry as its element, or nothing if it says what the element cannot.
func (w *writer) writeKind(k *kind, v value, attrs ...string) bool {
	for _, p := range v.params {
		if !k.has(p.name) {
			return false
		}
	}
	for _, name := range []string{"from", "until"} {
		if text := v.get(name); text != "" {
			if _, ok := parseTime(text); !ok {
				return false
			}
			attrs = append(attrs, name, text)
		}
	}
	for _, name := range k.attrs {
		attrs = append(attrs, name, v.get(name))
	}
	before, used := len(w.b), len(w.used)
	ok := false
	if k.plain {
		w.line()
		w.start(k.qname(), attrs)
		w.b = append(w.b, '>')
		ok = k.write(w, v)
		w.b = append(append(append(w.b, "</"...), k.qname()...), '>')
	} else {
		w.within(k.qname(), func() {
			if note := v.get("note"); note != "" && k.space == nsRPID {
				w.leaf("r:note", note, "xml:lang", langOr(v.get("lang")))
			}
			ok = k.write(w, v)
		}, attrs...)
	}
	if !ok {
		w.b, w.used = w.b[:before], w.used[:used]
	}
	return ok
}

// has reports whether the element has a place for a parameter.
func (k *kind) has(name string) bool {
	switch name {
	case "from", "until":
		return k.timed
	case "note", "lang":
		return k.noted || k.name == "display-name"
	case "other":
		return slices.Contains([]string{"activities", "mood", "relationship", "place-type"}, k.name)
	}
	return slices.Contains(k.attrs, name)
}
