package scenario

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Builtin are the names of the scenarios that come with the program, in order.
func Builtin() (names []string) {
	entries, err := builtin.ReadDir("builtin")
	if err != nil {
		panic(err) // it is compiled in
	}
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// BuiltinText is the text of one of them.
func BuiltinText(name string) ([]byte, error) {
	b, err := builtin.ReadFile(path.Join("builtin", name+".yaml"))
	if err != nil {
		return nil, fmt.Errorf("there is no scenario %q%s: see hum-testnet list", name, Perhaps(name, Builtin()))
	}
	return b, nil
}
