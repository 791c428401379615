// Requirements makes the table of what is proved. It reads the results of a run of all tests, knows every numbered
// requirement of RFC 2779 and every ask of the meeting after it, and says of each whether tests named after it passed, and
// what they do not look at yet:
//
//	go test -json -tags trace,netns ./... | go run ./tools/requirements >docs/requirements.md
//
// A test that was skipped proves nothing, so its requirement is missing. The exit code is 1 if anything
// failed.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	r, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "requirements:", err)
		os.Exit(2)
	}
	failed := r.write(os.Stdout, time.Now(), commit())
	if failed > 0 {
		fmt.Fprintf(os.Stderr, "requirements: %d failed\n", failed)
		os.Exit(1)
	}
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// results is what became of each test, by name: pass, fail or skip. A test that only began has failed.
type results struct {
	tests  map[string]string
	broken string // the package itself, if it did not pass
}

// event is a line of go test -json.
type event struct{ Action, Package, Test string }

func read(in io.Reader) (results, error) {
	r := results{tests: map[string]string{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return r, fmt.Errorf("line %d is not of go test -json: %w", n+1, err)
		}
		n++
		r.note(e)
	}
	if n == 0 {
		return r, fmt.Errorf("nothing to read: see the command in docs/requirements.md")
	}
	return r, lines.Err()
}

func (r *results) note(e event) {
	switch {
	case e.Test == "" && (e.Action == "fail" || e.Action == "build-fail"):
		r.broken = cmp.Or(e.Package, "the build")
	case e.Test == "":
	case e.Action == "run":
		r.tests[e.Test] = "fail"
	case e.Action == "skip" && strings.Contains(e.Test, "/"): // a part that proves nothing taints the whole
		top, _, _ := strings.Cut(e.Test, "/")
		r.tests[e.Test], r.tests[top+"/"] = "skip", "skip"
	case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
		r.tests[e.Test] = e.Action
	}
}

var name = regexp.MustCompile(`^TestReq_(S?\d+(?:_\d+)*)(?:_([A-Z]\w*))?$`)

// lettered is what follows the number of most expectations of section 8.
var lettered = regexp.MustCompile(`^([A-Z]{1,2}\d+|All)$`)

// idOf is the id that a test is named after, "" for other tests and for parts of one.
func idOf(test string) string {
	m := name.FindStringSubmatch(test)
	if m == nil {
		return ""
	}
	id := strings.ReplaceAll(m[1], "_", ".")
	if id == "2" { // the words before 2.1
		return "2-pre"
	}
	letter, rest, _ := strings.Cut(m[2], "_")
	if strings.HasPrefix(id, "8.") && lettered.MatchString(letter) { // whose expectations have a letter and a number more
		id += " " + letter
		if part, _, _ := strings.Cut(rest, "_"); part != "" && strings.Trim(part, "0123456789") == "" { // AB4.1
			id += "." + part
		}
	}
	return id
}

// A line is what the table says of one requirement.
type line struct {
	state string // passed, failed, missing
	tests []string
	why   string
}

// of gathers the tests of an id: one that failed fails it, one that was skipped leaves it missing.
func (r results) of(id string) (l line) {
	l.state = "missing"
	skipped := false
	for test, state := range r.tests {
		if idOf(test) != id {
			continue
		}
		l.tests = append(l.tests, test)
		if r.tests[test+"/"] == "skip" && state == "pass" {
			state = "skip"
		}
		switch {
		case state == "fail":
			l.state = "failed"
		case state == "skip":
			skipped = true
		case l.state == "missing":
			l.state = "passed"
		}
	}
	slices.Sort(l.tests)
	if skipped && l.state != "failed" {
		l.state, l.why = "missing", "skipped"
	}
	return l
}

// write prints the table, and returns how many requirements failed.
func (r results) write(out io.Writer, now time.Time, commit string) (failed int) {
	count := map[string]int{}
	var body strings.Builder
	for _, part := range []struct {
		title string
		list  []requirement
	}{{"RFC 2779", rfc2779}, {"What the meeting asked beyond it", seed}} {
		fmt.Fprintf(&body, "\n## %s\n\n| id | requirement | state | tests | lacks | finished by |\n|---|---|---|---|---|---|\n", part.title)
		for _, q := range part.list {
			l := r.of(q.id)
			count[l.state]++
			fmt.Fprintf(&body, "| %s | %s | %s | %s | %s | %s |\n", q.id, q.title, l.word(q), short(l.tests), q.lacking(l), q.profile)
		}
	}
	r.answers(&body)
	fmt.Fprintf(out, "# Requirements\n\nMade %s at commit %s, as root with strace and ip(8), by\n\n    go test -json -tags trace,netns ./... | go run ./tools/requirements >docs/requirements.md\n\n", now.UTC().Format("2006-01-02"), commit)
	fmt.Fprintf(out, "Of %d ids %d passed, %d failed, %d are missing. \"Passed\" is what the named tests run; \"lacks\" are the\nclauses of the acceptance check that none runs yet.\n",
		len(rfc2779)+len(seed), count["passed"], count["failed"], count["missing"])
	if r.broken != "" {
		fmt.Fprintf(out, "\n**The run of %s did not pass.**\n", r.broken)
	}
	for _, stray := range r.strays() {
		fmt.Fprintf(out, "\n**%s is named after no known id.**\n", stray)
		count["failed"]++
	}
	fmt.Fprint(out, body.String())
	return count["failed"]
}

// answers prints the table of what became of the expectations of section 8.
func (r results) answers(out io.Writer) {
	fmt.Fprint(out, "\n## RFC 2779, section 8: what was expected\n\n| id | expectation | answered by | state | what hum says |\n|---|---|---|---|---|\n")
	for _, e := range appendix {
		state, by := r.of(e.id).state, short(r.of(e.id).tests)
		if e.body != "" {
			i := slices.IndexFunc(rfc2779, func(q requirement) bool { return q.id == e.body })
			state, by = r.of(e.body).word(rfc2779[i]), "as "+e.body
		}
		if by == "" {
			state = "-"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", e.id, e.title, by, state, e.answer)
	}
}

// word is a state with what qualifies it.
func (l line) word(q requirement) string {
	switch {
	case l.state == "passed" && q.lacks != "":
		return "passed in part"
	case l.state == "failed":
		return "**failed**"
	case l.why != "":
		return l.state + " (" + l.why + ")"
	}
	return l.state
}

func (q requirement) lacking(l line) string {
	if q.lacks == "" && l.state == "missing" {
		return "all"
	}
	return q.lacks
}

// short lists tests by what follows their id.
func short(tests []string) string {
	var out []string
	for _, t := range tests {
		out = append(out, strings.TrimPrefix(t, "TestReq_"))
	}
	return strings.Join(out, ", ")
}

// strays are the tests that claim an id that does not exist.
func (r results) strays() (out []string) {
	for test := range r.tests {
		if !strings.HasPrefix(test, "TestReq_") || strings.Contains(test, "/") {
			continue
		}
		is := func(q requirement) bool { return q.id == idOf(test) }
		of := func(e expectation) bool { return e.id == idOf(test) && e.body == "" }
		if !slices.ContainsFunc(rfc2779, is) && !slices.ContainsFunc(seed, is) && !slices.ContainsFunc(appendix, of) {
			out = append(out, test)
		}
	}
	slices.Sort(out)
	return out
}
