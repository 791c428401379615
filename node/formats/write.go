package formats

import (
	"slices"
	"strings"
)

// prefixes are those that a document of ours declares, if it uses them.
var prefixes = []binding{
	{"dm", nsModel}, {"r", nsRPID}, {"t", nsTimed}, {"c", nsCIPID}, {"l", nsLocation}, {"h", nsHum}, {"p", nsRules},
}

// A writer writes elements, each on a line of its own. The root element is written last, when it is
// known which prefixes it has to declare.
type writer struct {
	b     []byte
	depth int
	used  []string
}

const declarationText = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

// document returns what w holds within its root element, which is in the default namespace ns unless its
// name has a prefix. Attrs are names and values by turns.
func (w *writer) document(root, ns string, attrs ...string) []byte {
	head := &writer{}
	head.mark(root)
	for _, a := range attrs {
		head.mark(a)
	}
	w.used = append(w.used, head.used...)
	all := []string{"xmlns", ns}
	for _, p := range prefixes {
		if slices.Contains(w.used, p.prefix) {
			all = append(all, "xmlns:"+p.prefix, p.space)
		}
	}
	out := &writer{b: []byte(declarationText)}
	out.start(root, append(all, attrs...))
	if len(w.b) == 0 {
		return append(out.b, "/>\n"...)
	}
	out.b = append(append(append(out.b, '>'), w.b...), "\n</"...)
	return append(append(out.b, root...), ">\n"...)
}

// mark notes that the prefix of a name is used.
func (w *writer) mark(name string) {
	prefix, _, ok := strings.Cut(name, ":")
	if ok && slices.ContainsFunc(prefixes, func(p binding) bool { return p.prefix == prefix }) && !slices.Contains(w.used, prefix) {
		w.used = append(w.used, prefix)
	}
}

func (w *writer) line() {
	w.b = append(append(w.b, '\n'), strings.Repeat("  ", w.depth+1)...)
}

func (w *writer) start(name string, attrs []string) {
	w.mark(name)
	w.b = append(append(w.b, '<'), name...)
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] == "" && !strings.HasPrefix(attrs[i], "xmlns") {
			continue
		}
		w.mark(attrs[i])
		w.b = append(append(append(w.b, ' '), attrs[i]...), '=', '"')
		w.b = append(appendText(w.b, attrs[i+1], true), '"')
	}
}

// empty writes an element without content. Of attrs, names and values by turns, empty ones are left out.
func (w *writer) empty(name string, attrs ...string) {
	w.line()
	w.start(name, attrs)
	w.b = append(w.b, "/>"...)
}

// leaf writes an element with a text.
func (w *writer) leaf(name, text string, attrs ...string) {
	w.line()
	w.start(name, attrs)
	w.b = appendText(append(w.b, '>'), text, false)
	w.b = append(append(append(w.b, "</"...), name...), '>')
}

// within writes an element with what inside writes; nothing inside makes it empty.
func (w *writer) within(name string, inside func(), attrs ...string) {
	w.line()
	w.start(name, attrs)
	w.b = append(w.b, '>')
	at := len(w.b)
	w.depth++
	inside()
	w.depth--
	if len(w.b) == at {
		w.b = append(w.b[:at-1], "/>"...)
		return
	}
	w.line()
	w.b = append(append(append(w.b, "</"...), name...), '>')
}

// appendText escapes s. Characters that XML does not have become U+FFFD.
func appendText(b []byte, s string, attribute bool) []byte {
	for _, r := range s {
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '"' && attribute:
			b = append(b, "&quot;"...)
		case r == '\r':
			b = append(b, "&#13;"...)
		case attribute && r == '\n':
			b = append(b, "&#10;"...)
		case attribute && r == '\t':
			b = append(b, "&#9;"...)
		case !isChar(r):
			b = append(b, "\uFFFD"...)
		default:
			b = append(b, string(r)...)
		}
	}
	return b
}
