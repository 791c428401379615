package node

import (
	"fmt"
	"strings"

	"github.com/hum-presence/hum/p2p/wire"
)

// maxMeasures bounds what one service says of itself; the document bounds it too.
const maxMeasures = 32

// checkMeasures refuses names that are nobody's to give: without a domain they are the registry's (SPEC 3.3,
// 9.2).
func checkMeasures(m *[]Measure) error {
	if m == nil {
		return nil
	}
	bad := func(format string, args ...any) error {
		return &Error{Kind: KindUsage, Code: "bad-status", Message: fmt.Sprintf(format, args...), Advice: "name it like x.example.org/temperature"}
	}
	seen := map[string]bool{}
	for _, x := range *m {
		domain, rest, ok := strings.Cut(strings.TrimPrefix(x.Name, "x."), "/")
		switch {
		case !strings.HasPrefix(x.Name, "x.") || !ok || rest == "" || !strings.Contains(domain, "."):
			return bad("a status of your own has a name of a domain, not %q", clip(x.Name))
		case seen[x.Name]:
			return bad("%s is said twice", clip(x.Name))
		}
		seen[x.Name] = true
	}
	if len(*m) > maxMeasures {
		return bad("a service says at most %d things of itself", maxMeasures)
	}
	return nil
}

func statusOf(m []Measure) (out []wire.Status) {
	for _, x := range m {
		out = append(out, wire.Status{Name: x.Name, Value: x.Value})
	}
	return out
}
