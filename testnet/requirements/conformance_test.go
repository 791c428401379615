package requirements

import (
	"crypto/rand"
	"testing"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/conformance"
)

// S41: that something is P, M or P+M means something: each class has its rows, and this program passes them, for an
// address of each class. That a row can fail is shown where the rows are.
func TestReq_S41_EachClassRowByRow(t *testing.T) {
	for _, class := range []conformance.Class{conformance.P, conformance.M, conformance.PM} {
		t.Run(string(class), func(t *testing.T) {
			n := 0
			if err := conformance.Run(t.Context(), class, node.SystemClock(), rand.Reader, func(c node.Check) {
				if n++; !c.OK {
					t.Errorf("%s: %s", c.Check, c.Detail)
				}
			}); err != nil || n < 7 {
				t.Errorf("%d rows, %v", n, err)
			}
		})
	}
}
