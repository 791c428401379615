package house

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The specification stands in three files with one row of section numbers: whoever builds one service reads
// the core and its own.
var specFiles = []string{"SPEC.md", "SPEC-presence.md", "SPEC-messages.md"}

// A specification is which sections, and which entries of section 14, stand in which files.
type specification struct {
	sections map[string][]string // "3.7", or "3" for a chapter
	entries  map[int][]string
	text     map[string]string
}

var (
	chapterForm = regexp.MustCompile(`^## (\d+)\. `)
	sectionForm = regexp.MustCompile(`^\*\*(\d+\.\d+)[ *]`)
	entryForm   = regexp.MustCompile(`^(\d+)\. \*`)
	citedForm   = regexp.MustCompile(`\bSPEC (\d+(?:\.\d+)?)`)
)

func readSpec(t *testing.T) specification {
	t.Helper()
	text := map[string]string{}
	for _, name := range specFiles {
		b, err := os.ReadFile(filepath.Join("../../p2p/wire", name))
		if err != nil {
			t.Fatal(err)
		}
		text[name] = string(b)
	}
	return specOf(text)
}

func specOf(text map[string]string) specification {
	s := specification{map[string][]string{}, map[int][]string{}, text}
	for name, text := range text {
		chapter := ""
		for line := range strings.Lines(text) {
			if m := chapterForm.FindStringSubmatch(line); m != nil {
				chapter = m[1]
				s.sections[chapter] = append(s.sections[chapter], name)
			} else if m := sectionForm.FindStringSubmatch(line); m != nil {
				s.sections[m[1]] = append(s.sections[m[1]], name)
			} else if m := entryForm.FindStringSubmatch(line); m != nil && chapter == "14" {
				n, _ := strconv.Atoi(m[1])
				s.entries[n] = append(s.entries[n], name)
			}
		}
	}
	return s
}

// has reports whether there is what code cites: a section, or 14.n for the entry n.
func (s specification) has(section string) bool {
	if entry, ok := strings.CutPrefix(section, "14."); ok {
		n, err := strconv.Atoi(entry)
		return err == nil && len(s.entries[n]) > 0
	}
	return len(s.sections[section]) > 0
}

// faults says what is wrong with how the files are made.
func (s specification) faults() (out []string) {
	for section, in := range s.sections {
		if strings.Contains(section, ".") && len(in) > 1 {
			out = append(out, fmt.Sprintf("section %s stands in %v", section, in))
		}
	}
	for n := 1; n <= len(s.entries); n++ {
		if in := s.entries[n]; len(in) != 1 {
			out = append(out, fmt.Sprintf("entry %d of section 14 stands in %v; a new one takes the next number of all three files", n, in))
		}
	}
	for own, other := range map[string]string{"SPEC-presence.md": "SPEC-messages.md", "SPEC-messages.md": "SPEC-presence.md"} {
		for section, in := range s.sections {
			if !strings.Contains(section, ".") || !slices.Contains(in, other) {
				continue
			}
			cites := regexp.MustCompile(`(^|[^0-9.])` + regexp.QuoteMeta(section) + `([^0-9.·]|\.[^0-9]|$)`)
			for line := range strings.Lines(s.text[own]) {
				if cites.MatchString(line) && !strings.Contains(line, "[P+M]") {
					out = append(out, fmt.Sprintf("%s needs section %s of %s, and is not marked [P+M]: %.60s", own, section, other, line))
				}
			}
		}
	}
	return append(out, s.foreignWords()...)
}

// foreignWords finds what a file says of a service that is explained in the other's alone: whoever builds one service
// need not read of the other (seed ask S48), so that such a line is marked as for both.
func (s specification) foreignWords() (out []string) {
	for own, words := range map[string]string{
		"SPEC-messages.md": `\b(Doc|Docs|Rec|Recs|Tuple|tuples?|WATCH|GET|epochs?|beacons?|leases?|OPEN|CLOSED|Fetch|FetchReply|topics?)\b`,
		"SPEC-presence.md": `\b(outbox|TAKEN|resend_of|first-contact|in_reply_to|AckBox)\b`,
	} {
		foreign := regexp.MustCompile(words)
		for line := range strings.Lines(s.text[own]) {
			if found := foreign.FindString(line); found != "" && !strings.Contains(line, "[P+M]") {
				out = append(out, fmt.Sprintf("%s speaks of %q, which is the other service's, and is not marked [P+M]: %.60s", own, found, line))
			}
		}
	}
	return out
}

func TestSpecStandsInThreeFiles(t *testing.T) {
	for _, fault := range readSpec(t).faults() {
		t.Error(fault)
	}
}

func TestEveryCitedSectionExists(t *testing.T) {
	spec, cited := readSpec(t), 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !slices.Contains([]string{".go", ".proto", ".md"}, filepath.Ext(path)) {
			return nil
		}
		b, err := os.ReadFile(path)
		for i, line := range strings.Split(string(b), "\n") {
			for _, m := range citedForm.FindAllStringSubmatch(line, -1) {
				if cited++; !spec.has(m[1]) && m[1] != "99.9" {
					t.Errorf("%s:%d cites SPEC %s, and there is no such section", path, i+1, m[1])
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if cited < 300 {
		t.Errorf("only %d citations were found", cited)
	}
}

// What these tests are for must be found: SPEC 99.9 is nowhere.
func TestSpecFaultsAreFound(t *testing.T) {
	if readSpec(t).has("99.9") || readSpec(t).has("14.9999") || !readSpec(t).has("14.1") || !readSpec(t).has("3.10") {
		t.Error("what is cited is not told from what is not")
	}
	bad := specOf(map[string]string{
		"SPEC.md":          "## 14. Changes\n1. *a*\n3. *c*\n",
		"SPEC-presence.md": "**4.1 Doc** as in 5.2\n**4.2 View** as in [P+M] 5.2\n## 14. Changes\n3. *b*\n",
		"SPEC-messages.md": "**5.2 Who**\n**4.1 Doc**\n",
	})
	words := specOf(map[string]string{"SPEC-messages.md": "while he is CLOSED\nwhile he is CLOSED [P+M]\n", "SPEC-presence.md": "as in the outbox\n"})
	if got := words.foreignWords(); len(got) != 2 {
		t.Errorf("of foreign words it found %v", got)
	}
	if got := bad.faults(); len(got) < 3 {
		t.Errorf("found only %v", got)
	}
}
