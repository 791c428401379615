package requirements

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// The clients that were written by the documents share no code with a node, and each is whole without the other's file.
func TestReq_S48_TheTwoAreApart(t *testing.T) {
	read := func(name string) (f *ast.File, uses map[string]bool) {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		uses = map[string]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				uses[id.Name] = true
			}
			return true
		})
		return f, uses
	}
	declared := func(f *ast.File) (names []string) {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names = append(names, d.Name.Name)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names = append(names, s.Name.Name)
					case *ast.ValueSpec:
						for _, id := range s.Names {
							names = append(names, id.Name)
						}
					}
				}
			}
		}
		return names
	}
	common, _ := read("outsider_core_test.go")
	messages, ofMessages := read("outsider_messages_test.go")
	presence, ofPresence := read("outsider_presence_test.go")
	foreign := func(f *ast.File) error {
		for _, i := range f.Imports {
			if path := strings.Trim(i.Path.Value, `"`); strings.HasPrefix(path, "github.com/hum-presence/hum/") && !slices.Contains([]string{"node", "testnet"}, strings.TrimPrefix(path, "github.com/hum-presence/hum/")) {
				return fail("%s is used", path)
			}
		}
		return nil
	}
	apart := func(f *ast.File, others map[string]bool) error {
		for _, name := range declared(f) {
			if others[name] {
				return fail("%s is used by the other", name)
			}
		}
		return nil
	}
	node, _ := read("hostile_test.go")
	for _, err := range []error{foreign(common), foreign(messages), foreign(presence), apart(messages, ofPresence), apart(presence, ofMessages)} {
		if err != nil {
			t.Error(err)
		}
	}
	if foreign(node) == nil || apart(common, ofPresence) == nil {
		t.Error("a use of other code is not found")
	}
}
