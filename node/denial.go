package node

import (
	"cmp"
	"fmt"

	"github.com/hum-presence/hum/p2p/wire"
)

// denials are the reasons that a refused watcher may be told: those by which the other side's policy says
// no (SPEC 9.1).
var denials = []wire.Reason{wire.ReasonPolicy, wire.ReasonRefused, wire.ReasonClosed, wire.ReasonAuthRequired, wire.ReasonRefusedAnonymous}

// denial reads the word of one of them; none is the default.
func denial(word string) (wire.Reason, error) {
	var words []string
	for _, r := range denials {
		if r.String() == cmp.Or(word, denials[0].String()) {
			return r, nil
		}
		words = append(words, r.String())
	}
	return wire.ReasonNone, &Error{Kind: KindUsage, Code: "bad-reason",
		Message: fmt.Sprintf("%q is no reason to deny%s", clip(word), didYouMean(word, words)),
		Advice:  "it is one of policy, refused, closed, auth-required and refused-anonymous"}
}
