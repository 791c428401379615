package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hum-presence/hum/node"
)

// line writes v as one line of JSON.
func (a *app) line(v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = a.out.Write(append(b, '\n'))
	return err
}

// marshal is json.Marshal that leaves <, > and & alone, and knows messages of the local API.
func marshal(v any) ([]byte, error) {
	if m, ok := v.(proto.Message); ok {
		return appendMessage(nil, m.ProtoReflect()), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// appendMessage writes m as docs/cli.md says: every field under its own name, times as RFC 3339 with
// milliseconds, durations as Go writes them, bytes in hex; what is absent is null.
func appendMessage(b []byte, m protoreflect.Message) []byte {
	switch v := m.Interface().(type) {
	case *timestamppb.Timestamp:
		return strconv.AppendQuote(b, v.AsTime().Format("2006-01-02T15:04:05.000Z"))
	case *durationpb.Duration:
		return strconv.AppendQuote(b, v.AsDuration().String())
	}
	b = append(b, '{')
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		fd := fields.Get(i)
		b = append(strconv.AppendQuote(b, string(fd.Name())), ':')
		if fd.HasPresence() && !m.Has(fd) {
			b = append(b, "null"...)
			continue
		}
		b = appendField(b, fd, m.Get(fd))
	}
	return append(b, '}')
}

func appendField(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch {
	case fd.IsList():
		b = append(b, '[')
		for i := range v.List().Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, v.List().Get(i))
		}
		return append(b, ']')
	case fd.IsMap():
		return appendMap(b, v.Map())
	}
	return appendValue(b, v)
}

func appendMap(b []byte, m protoreflect.Map) []byte {
	var keys []string
	values := map[string]protoreflect.Value{}
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		keys = append(keys, k.String())
		values[k.String()] = v
		return true
	})
	sort.Strings(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(append(appendValue(b, protoreflect.ValueOfString(k)), ':'), values[k])
	}
	return append(b, '}')
}

func appendValue(b []byte, v protoreflect.Value) []byte {
	switch v := v.Interface().(type) {
	case protoreflect.Message:
		return appendMessage(b, v)
	case []byte:
		return append(hex.AppendEncode(append(b, '"'), v), '"')
	default: // strings, numbers, truth: as encoding/json has them
		text, _ := marshal(v)
		return append(b, text...)
	}
}

// show writes one answer: m for programs, or what human says for people.
func (a *app) show(m any, human func()) error {
	if a.json {
		return a.line(m)
	}
	human()
	return nil
}

// each writes a list: one line of JSON an entry, or a table; empty says what the lack of entries means.
func each[M any](a *app, list []M, empty string, t table, row func(M) []string) error {
	if a.json {
		for _, m := range list {
			if err := a.line(m); err != nil {
				return err
			}
		}
		return nil
	}
	for _, m := range list {
		t.rows = append(t.rows, row(m))
	}
	if len(list) == 0 {
		a.hint(empty)
		return nil
	}
	a.print(t)
	return nil
}

// say writes a sentence for people.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.out, format+"\n", args...)
}

// hint writes what is no result: on a terminal only.
func (a *app) hint(s string) {
	if a.terminal && s != "" {
		a.say("%s", s)
	}
}

// tell writes an error.
func (a *app) tell(e *node.Error) {
	if !a.json {
		fmt.Fprintf(a.err, "hum: %s\n", clean(e.Error()))
		return
	}
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Advice  string `json:"advice,omitempty"`
	}
	b, err := marshal(map[string]problem{"error": {e.Code, e.Message, e.Advice}})
	if err == nil {
		fmt.Fprintf(a.err, "%s\n", b)
	}
}

// A table is what people see of a list: aligned columns, the last one as long as it is.
type table struct {
	head  []string
	rows  [][]string
	least []int // widths of columns at least, for rows that are written one after the other
}

func (a *app) print(t table) {
	all := t.rows
	if len(t.head) > 0 {
		all = append([][]string{t.head}, t.rows...)
	}
	width := slices.Clone(t.least)
	for _, row := range all {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			row[i] = clean(cell)
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	for n, row := range all {
		a.row(row, width, n == 0 && len(t.head) > 0)
	}
}

// gap is what stands between two columns, and before those that did not fit into the line.
const gap = "  "

// row writes one line, or as many as the terminal needs for all columns: each further one is indented. The
// break comes at the same column in every row.
func (a *app) row(row []string, width []int, heading bool) {
	var b strings.Builder
	column := 0
	for i, cell := range row {
		if column > 0 && a.width > 0 && column+width[i] > a.width {
			a.say("%s", strings.TrimRight(b.String(), " "))
			b.Reset()
			b.WriteString(gap)
			column = len(gap)
		}
		if room := a.width - column; a.width > 0 && i == len(row)-1 && utf8.RuneCountInString(cell) > room {
			b.WriteString(strings.Join(folded(cell, room), "\n"+strings.Repeat(" ", column)))
			break
		}
		b.WriteString(a.paint(cell, heading))
		b.WriteString(strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(cell))) + gap)
		column += width[i] + len(gap)
	}
	a.say("%s", strings.TrimRight(b.String(), " "))
}

// folded parts a text between words into lines of so many letters; a longer word has a line to itself.
func folded(text string, room int) (lines []string) {
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last < 0 || utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) > room {
			lines = append(lines, word)
			continue
		}
		lines[last] += " " + word
	}
	return lines
}

// The colours of state words.
var paints = map[string]string{
	"open": "32", "available": "32", "active": "32", "delivered": "32", "displayed": "32", "ok": "32", "yes": "32",
	"pending": "33", "requested": "33", "queued": "33", "sending": "33", "handed": "33", "away": "33", "busy": "33", "lapsed": "33",
	"denied": "31", "failed": "31", "terminated": "31", "expired": "31", "PROBLEM": "31",
}

// paint colours a word that is a state, and headings, where colour is wanted.
func (a *app) paint(cell string, heading bool) string {
	if !a.terminal || a.env("NO_COLOR") != "" {
		return cell
	}
	if heading {
		return "\x1b[1m" + cell + "\x1b[0m"
	}
	if strings.HasSuffix(cell, notReaching) {
		return "\x1b[2m" + cell + "\x1b[0m"
	}
	if c, ok := paints[cell]; ok {
		return "\x1b[" + c + "m" + cell + "\x1b[0m"
	}
	return cell
}

// clean takes out of s what would steer the terminal: others choose names, notes and texts.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.Is(unicode.Cc, r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c:
			return utf8.RuneError
		}
		return r
	}, s)
}

// body is a text that keeps its lines, indented by two spaces.
func body(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, l := range lines {
		lines[i] = "  " + clean(l)
	}
	return strings.Join(lines, "\n")
}

// name is what a person is called on the screen: his petname, else the name he claims, marked as a
// claim, else his address.
func name(petname, claimed, address string) string {
	switch {
	case petname != "":
		return petname
	case claimed != "":
		return "“" + claimed + "”?"
	}
	return short(address)
}

// short is an address that is recognised, not typed.
func short(address string) string {
	if len(address) < 20 {
		return address
	}
	return address[:12] + "…" + address[len(address)-4:]
}

// when says how long ago t is, or when it will be.
func (a *app) when(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	d := a.now().Sub(t.AsTime())
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= u.unit {
			return fmt.Sprintf("%d %s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// size is a number of bytes in its largest unit.
func size[N int64 | uint64](n N) string {
	switch {
	case n >= 1_000_000_000:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

// or is s, or other if s is empty.
func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// plural is a number of things.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if strings.HasSuffix(thing, "x") {
		thing += "e"
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
