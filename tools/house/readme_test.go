package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var goFile = regexp.MustCompile("`([a-z0-9_/]+\\.go)`")

// filesNamed are the files that README.md names under a heading.
func filesNamed(t *testing.T, readme, heading string) (files []string) {
	t.Helper()
	_, section, ok := strings.Cut(readme, "### "+heading+"\n")
	if !ok {
		t.Fatalf("README.md has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	for _, m := range goFile.FindAllStringSubmatch(section, -1) {
		files = append(files, m[1])
	}
	return files
}

// The README leads a newcomer through the files that a change and a message pass; each must be there.
func TestFlowsOfTheReadme(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, heading := range []string{"One presence change, each room once", "One message, each room once"} {
		files := filesNamed(t, string(b), heading)
		if len(files) < 6 {
			t.Errorf("%s: only %d files are named", heading, len(files))
		}
		for _, f := range files {
			if _, err := os.Stat(filepath.Join("../..", f)); err != nil {
				t.Errorf("%s: %s is gone", heading, f)
			}
		}
	}
}

// Every link of the README to a file of the project leads somewhere.
func TestLinksOfTheReadme(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(b), -1) {
		if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
			t.Errorf("%s is gone", m[1])
		}
	}
}
