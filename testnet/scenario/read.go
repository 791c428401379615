package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hum-presence/hum/node/settings"
)

// An Error says what is wrong with a scenario, and where.
type Error struct {
	File string
	Line int // 0: of the whole
	Text string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// A Set overrides one value: its path, such as node.degree or nodes.0.nat, and its new text in YAML.
type Set struct{ Path, Value string }

// ParseSet reads PATH=VALUE.
func ParseSet(s string) (Set, error) {
	path, value, ok := strings.Cut(s, "=")
	if !ok || path == "" {
		return Set{}, fmt.Errorf("%q is not PATH=VALUE, such as node.degree=6", s)
	}
	return Set{path, value}, nil
}

// Read reads a scenario from text; file is what errors call it. They are of type *Error, several joined.
func Read(file string, text []byte, sets ...Set) (s Scenario, err error) {
	root, err := parse(file, text)
	if err != nil {
		return s, err
	}
	for _, set := range sets {
		if err := override(root, set); err != nil {
			return s, &Error{file, 0, err.Error()}
		}
	}
	r := reader{file: file, lines: map[string]int{}}
	r.value(root, reflect.ValueOf(&s).Elem(), "")
	if len(r.errs) > 0 {
		return s, errors.Join(r.errs...)
	}
	s.File, s.lines = file, r.lines
	s.defaults()
	if err := s.check(); err != nil {
		return s, err
	}
	return s, nil
}

// Text is a scenario as it is run, with every override written into it.
func Text(file string, text []byte, sets ...Set) ([]byte, error) {
	if len(sets) == 0 {
		return text, nil
	}
	root, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		if err := override(root, set); err != nil {
			return nil, &Error{file, 0, err.Error()}
		}
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err = errors.Join(e.Encode(root), e.Close())
	return b.Bytes(), err
}

func parse(file string, text []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		why := strings.TrimPrefix(err.Error(), "yaml: ")
		var line int
		if n, _ := fmt.Sscanf(why, "line %d:", &line); n == 1 {
			_, why, _ = strings.Cut(why, ": ")
		}
		return nil, &Error{file, line, why}
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, &Error{file, 0, "holds no scenario: it begins with version: 1"}
	}
	return doc.Content[0], nil
}

// override sets what is at a path, and makes it where there is nothing.
func override(root *yaml.Node, set Set) error {
	var value yaml.Node
	if err := yaml.Unmarshal([]byte(set.Value), &value); err != nil || len(value.Content) != 1 {
		return fmt.Errorf("%s=%s: no value", set.Path, set.Value)
	}
	unlined(&value)
	at := root
	words := strings.Split(set.Path, ".")
	for i, word := range words {
		last := i == len(words)-1
		switch at.Kind {
		case yaml.MappingNode:
			j := 0
			for j < len(at.Content) && at.Content[j].Value != word {
				j += 2
			}
			if j == len(at.Content) {
				at.Content = append(at.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: word}, &yaml.Node{Kind: yaml.MappingNode})
			}
			if last {
				at.Content[j+1] = value.Content[0]
			}
			at = at.Content[j+1]
		case yaml.SequenceNode:
			j, err := strconv.Atoi(word)
			if err != nil || j < 0 || j >= len(at.Content) {
				return fmt.Errorf("%s: there is no number %s of %d", set.Path, word, len(at.Content))
			}
			if last {
				at.Content[j] = value.Content[0]
			}
			at = at.Content[j]
		default:
			return fmt.Errorf("%s: there is nothing under %s", set.Path, strings.Join(words[:i], "."))
		}
	}
	return nil
}

// unlined has a value be on no line, as it stands in no file.
func unlined(n *yaml.Node) {
	n.Line = 0
	for _, c := range n.Content {
		unlined(c)
	}
}

// Line is the line of the file on which something is, by its path, such as faults.0.partition: its own, or that of what it is part
// of; 0 if the file does not say it.
func (s *Scenario) Line(path string) int {
	for {
		if n, ok := s.lines[path]; ok {
			return n
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
}

// A reader fills a scenario, and gathers everything that is wrong.
type reader struct {
	file  string
	errs  []error
	lines map[string]int // by path
}

func (r *reader) fail(line int, format string, args ...any) {
	r.errs = append(r.errs, &Error{r.file, line, fmt.Sprintf(format, args...)})
}

func (r *reader) value(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if path != "" {
		r.lines[path] = n.Line
	}
	if u, ok := v.Addr().Interface().(yaml.Unmarshaler); ok {
		if err := u.UnmarshalYAML(n); err != nil {
			r.fail(n.Line, "%s: %v", path, err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		r.fields(n, v, path)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			r.fail(n.Line, "%s: is a list: begin each of its entries with a dash", path)
			return
		}
		for i, c := range n.Content {
			e := reflect.New(v.Type().Elem()).Elem()
			r.value(c, e, fmt.Sprintf("%s.%d", path, i))
			v.Set(reflect.Append(v, e))
		}
	default:
		if err := n.Decode(v.Addr().Interface()); err != nil {
			r.fail(n.Line, "%s: %q is no %s", path, n.Value, kindWord(v))
		}
	}
}

func kindWord(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Uint64:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Map:
		return "list of values by path"
	}
	return v.Kind().String()
}

func (r *reader) fields(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.fail(n.Line, "%s: %q stands where there should be keys with their values", path, n.Value)
		return
	}
	index := map[string]int{}
	for i := range v.NumField() {
		if key := v.Type().Field(i).Tag.Get("yaml"); key != "-" {
			index[key] = i
		}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		f, ok := index[key.Value]
		switch {
		case !ok:
			r.unknown(key, at, index)
			continue
		case seen[key.Value]:
			r.fail(key.Line, "%s is said twice", at)
			continue
		}
		seen[key.Value] = true
		field := v.Type().Field(f)
		r.value(n.Content[i+1], v.Field(f), at)
		if words := strings.Fields(field.Tag.Get("enum")); len(words) > 0 {
			if got := v.Field(f).String(); got != "" && !slices.Contains(words, got) {
				r.fail(n.Content[i+1].Line, "%s: %q is none of %s%s", at, got, strings.Join(words, ", "), Perhaps(got, words))
			}
		}
	}
}

func (r *reader) unknown(key *yaml.Node, at string, index map[string]int) {
	var known []string
	for k := range index {
		known = append(known, k)
	}
	slices.Sort(known)
	why := Perhaps(key.Value, known)
	if why == "" {
		why = "; known here: " + strings.Join(known, ", ")
	}
	r.fail(key.Line, "unknown key %s%s", at, why)
}

// Perhaps names the word of those known that was probably meant, for the end of a message; it is empty if none is near.
func Perhaps(word string, known []string) string {
	if near := settings.Nearest(word, known); len(near) > 0 {
		return fmt.Sprintf("; did you mean %s?", near[0])
	}
	return ""
}
