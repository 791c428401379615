package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// registry reads docs/registry.md: for each section the names in the first column of its table.
func registry(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("../../docs/registry.md")
	if err != nil {
		t.Fatal(err)
	}
	out, section := map[string][]string{}, ""
	row := regexp.MustCompile("^\\| `([^`]+)` \\|")
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "#"); ok {
			section = strings.TrimSpace(strings.TrimLeft(name, "#"))
		} else if m := row.FindStringSubmatch(line); m != nil {
			if slices.Contains(out[section], m[1]) {
				t.Errorf("%q stands twice under %q", m[1], section)
			}
			out[section] = append(out[section], m[1])
		}
	}
	return out
}

// A use is one name that code emits: where, and in which section of the registry it must stand.
type use struct{ section, name, at string }

// emitted lists the names in a file: of the literals of wire.Status and wire.Ext, of the table of elements
// in node/formats, the features that a record is made with, and every namespace.
func emitted(files *token.FileSet, f *ast.File) (out []use) {
	add := func(section string, e ast.Expr, n ast.Node) {
		if lit, ok := e.(*ast.BasicLit); ok {
			name, err := strconv.Unquote(lit.Value)
			if err != nil {
				name = lit.Value // a number
			}
			if !strings.HasPrefix(name, "x.") {
				out = append(out, use{section, name, files.Position(n.Pos()).String()})
			}
		}
	}
	var literal func(kind string, c *ast.CompositeLit)
	literal = func(kind string, c *ast.CompositeLit) {
		for _, e := range c.Elts {
			if inner, ok := e.(*ast.CompositeLit); ok && inner.Type == nil {
				literal(kind, inner) // an entry of a slice
			}
			kv, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := kv.Key.(*ast.Ident); {
			case key == nil:
			case key.Name == "Name" && kind == "Status", key.Name == "name" && kind == "kind":
				add("Status names", kv.Value, kv)
			case key.Name == "Name" && kind == "Ext":
				add("Extension names", kv.Value, kv)
			case key.Name == "Features" && kind == "DeviceRecord":
				add("Features bits", kv.Value, kv)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			literal(typeName(n.Type), n)
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && namespaceForm.MatchString(s) {
				out = append(out, use{"XML namespaces", s, files.Position(n.Pos()).String()})
			}
		}
		return true
	})
	return out
}

// namespaceForm is what looks like a namespace: the IETF's, the W3C's, our own.
var namespaceForm = regexp.MustCompile(`^(urn:ietf:params:xml:ns:\S+|http://www\.w3\.org/\S+|https://github\.com/hum-presence/hum/ns/\S*)$`)

// typeName is the name of the type, or of the elements, of a composite literal.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.ArrayType:
		return typeName(e.Elt)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func TestRegistryHoldsWhatIsEmitted(t *testing.T) {
	names := registry(t)
	if len(names["Status names"]) < 20 || len(names["XML namespaces"]) < 10 {
		t.Fatalf("the registry is not read: %v", names)
	}
	files, used := token.NewFileSet(), map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || !written(path) || strings.HasPrefix(path, "../../testnet/") {
			return err
		}
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		for _, u := range emitted(files, f) {
			used[u.name] = true
			if !slices.Contains(names[u.section], u.name) {
				t.Errorf("%s: %q is not in docs/registry.md under %q", u.at, u.name, u.section)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range slices.Concat(names["Status names"], names["XML namespaces"]) {
		if !used[n] {
			t.Errorf("%q is registered, and nothing emits it", n)
		}
	}
}

// The check must be able to find: each of these would be an unregistered name.
func TestRegistryFinds(t *testing.T) {
	names := registry(t)
	for _, code := range []string{
		`var a = wire.Status{Name: "colour", Value: "red"}`,
		`var a = []wire.Status{{Name: "colour"}}`,
		`var a = []kind{{name: "colour"}}`,
		`var a = wire.Ext{Name: "colour"}`,
		`var a = wire.DeviceRecord{Features: 4}`,
		`const a = "urn:ietf:params:xml:ns:pidf:caps"`,
		`const a = "https://github.com/hum-presence/hum/ns/2"`,
	} {
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, "a.go", "package a\n"+code, 0)
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(emitted(files, f), func(u use) bool { return !slices.Contains(names[u.section], u.name) })
		if !found {
			t.Errorf("nobody minds: %s", code)
		}
	}
}
