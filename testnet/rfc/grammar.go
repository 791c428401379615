package rfc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A Grammar is a schema in RELAX NG, as an RFC prints it.
type Grammar struct{ dir string }

var grammarForm = regexp.MustCompile(`(?s)<grammar\b.*?</grammar>`)

// LoadGrammar takes the one that an RFC prints. That xmllint is missing is a failure.
func LoadGrammar(t testing.TB, number int) Grammar {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Fatalf("xmllint is needed, of the package libxml2-utils: %v", err)
	}
	all := grammarForm.FindAllString(Text(t, number), -1)
	if len(all) != 1 {
		t.Fatalf("RFC %d prints %d grammars", number, len(all))
	}
	g := Grammar{t.TempDir()}
	g.write(t, "grammar.rng", all[0])
	return g
}

func (g Grammar) write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Validate returns what xmllint says of each document that the grammar refuses.
func (g Grammar) Validate(t testing.TB, docs ...[]byte) map[int]string {
	t.Helper()
	refused := map[int]string{}
	for i, d := range docs {
		path := g.write(t, fmt.Sprintf("doc%d.xml", i), string(d))
		out, err := exec.Command("xmllint", "--nonet", "--noout", "--relaxng", filepath.Join(g.dir, "grammar.rng"), path).CombinedOutput()
		switch said := string(out); {
		case err == nil && strings.Contains(said, path+" validates"):
		case strings.Contains(said, path+" fails to validate"), strings.Contains(said, "parser error"):
			refused[i] = said
		default:
			t.Fatalf("xmllint: %v\n%s", err, said)
		}
	}
	return refused
}

// AllValid fails for each document that the grammar refuses.
func (g Grammar) AllValid(t testing.TB, docs ...[]byte) {
	t.Helper()
	for i, why := range g.Validate(t, docs...) {
		t.Errorf("refused by the grammar:\n%s\n%s", why, docs[i])
	}
}
