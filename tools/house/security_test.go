package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testForm = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	namedFor = regexp.MustCompile("`(Test\\w+)`")
	ruleForm = regexp.MustCompile(`(?m)^\t\{"(5\.\d+\.\d+)"`)
)

// mapped says what is wrong with the tables of a security chapter: a row without a test, a test that is not there, a
// requirement without a row.
func mapped(chapter string, tests map[string]bool, ids []string) (faults []string) {
	rows := map[string]bool{}
	for line := range strings.Lines(chapter) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.Contains(cells[1], "---") || strings.TrimSpace(cells[1]) == "id" || strings.TrimSpace(cells[1]) == "adversary" {
			continue
		}
		rows[strings.TrimSpace(cells[1])] = true
		if !namedFor.MatchString(cells[len(cells)-2]) {
			faults = append(faults, "no test is named for "+strings.TrimSpace(cells[1]))
		}
	}
	for _, m := range namedFor.FindAllStringSubmatch(chapter, -1) {
		if !tests[m[1]] {
			faults = append(faults, "there is no "+m[1])
		}
	}
	for _, id := range ids {
		if !rows[id] {
			faults = append(faults, "no row for "+id)
		}
	}
	return faults
}

// Each row of the security chapter's tables names tests that exist, and each requirement of RFC 2779, section 5, has
// one (seed ask S38).
func TestReq_S38_SecurityChapter(t *testing.T) {
	chapter, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("../requirements/list.go")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range ruleForm.FindAllStringSubmatch(string(list), -1) {
		ids = append(ids, m[1])
	}
	if len(ids) != 37 {
		t.Fatalf("%d requirements in section 5", len(ids))
	}
	tests := map[string]bool{}
	if err := filepath.WalkDir("../..", func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		b, err := os.ReadFile(name)
		for _, m := range testForm.FindAllStringSubmatch(string(b), -1) {
			tests[m[1]] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, f := range mapped(string(chapter), tests, ids) {
		t.Error(f)
	}
	// What must be found.
	planted := "| id | a | tests |\n|---|---|---|\n| 5.1.1 | a | `TestGone` |\n| 5.1.2 | b | |\n"
	if f := mapped(planted, tests, []string{"5.1.1", "5.1.2", "5.1.3"}); len(f) != 3 {
		t.Errorf("of three planted faults are found: %v", f)
	}
}
