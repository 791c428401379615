package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

const planted = `{"Action":"run","Test":"TestReq_2_1_1_A"}
{"Action":"pass","Test":"TestReq_2_1_1_A"}
{"Action":"run","Test":"TestReq_2_1_3_A"}
{"Action":"pass","Test":"TestReq_2_1_3_A"}
{"Action":"run","Test":"TestReq_2_1_3_B"}
{"Action":"fail","Test":"TestReq_2_1_3_B"}
{"Action":"run","Test":"TestReq_S11_A"}
{"Action":"skip","Test":"TestReq_S11_A"}
{"Action":"run","Test":"TestReq_S12_A"}
{"Action":"run","Test":"TestReq_S12_A/part"}
{"Action":"skip","Test":"TestReq_S12_A/part"}
{"Action":"pass","Test":"TestReq_S12_A"}
{"Action":"run","Test":"TestReq_5_4_10_A"}
{"Action":"pass","Test":"TestReq_8_1_2_B1_A"}
{"Action":"run","Test":"TestFixture"}
{"Action":"pass","Test":"TestFixture"}
{"Action":"fail","Package":"x/testnet/requirements"}
`

func TestStates(t *testing.T) {
	r, err := read(strings.NewReader(planted))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"2.1.1": "passed", "2.1.3": "failed", "S11": "missing", "S12": "missing", "S1": "missing",
		"5.4.10": "failed" /* it began, and the process died */, "5.4.1": "missing",
	} {
		if got := r.of(id).state; got != want {
			t.Errorf("%s is %s, not %s", id, got, want)
		}
	}
	var out strings.Builder
	if n := r.write(&out, time.Unix(0, 0), "abc1234"); n != 2 {
		t.Errorf("%d failed, not 2", n)
	}
	for _, want := range []string{
		"go run ./tools/requirements", "1970-01-01", "abc1234", "| 2.1.3 |", "| **failed** |", "missing (skipped)",
		"The run of x/testnet/requirements did not pass", "Of 142 ids 1 passed, 2 failed, 139 are missing",
		"| 8.1.1 A7 | she ends it at any time | as 5.1.7 | missing |", "| 8.1.2 B1 | nothing leaves without knowledge and consent | 8_1_2_B1_A | passed |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, out.String()[:600])
		}
	}
}

func TestStray(t *testing.T) {
	r, err := read(strings.NewReader(`{"Action":"pass","Test":"TestReq_9_9_9_A"}`))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if r.write(&out, time.Unix(0, 0), "x") != 1 || !strings.Contains(out.String(), "TestReq_9_9_9_A is named after no known id") {
		t.Error("a test named after nothing is not found")
	}
}

func TestBadInput(t *testing.T) {
	for _, in := range []string{"", "ok  	x	0.1s\n"} {
		if _, err := read(strings.NewReader(in)); err == nil {
			t.Errorf("%q is taken for results", in)
		}
	}
}

// TestList holds the list against its counts, and every id once.
func TestList(t *testing.T) {
	if len(rfc2779) != 1+93 || len(seed) != 48 {
		t.Errorf("%d numbered requirements and %d asks, not 93 and 48", len(rfc2779), len(seed))
	}
	seen := map[string]bool{}
	for _, q := range append(append([]requirement{}, rfc2779...), seed...) {
		if seen[q.id] || q.title == "" || q.profile == "" || strings.Contains(q.title+q.lacks, "|") {
			t.Errorf("%+v", q)
		}
		seen[q.id] = true
		if id := idOf("TestReq_" + strings.ReplaceAll(strings.TrimSuffix(q.id, "-pre"), ".", "_") + "_SomeThing"); id != q.id {
			t.Errorf("a test of %s is taken for one of %q", q.id, id)
		}
	}
}

// TestNames looks at the tests themselves: each is named after an id, and says so in a way that is read.
func TestNames(t *testing.T) {
	dir := "../../testnet/requirements"
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := results{tests: map[string]string{}}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") {
			b, err := os.ReadFile(dir + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (TestReq_\w+)\(`).FindAllSubmatch(b, -1) {
				all.tests[string(m[1])] = "pass"
			}
		}
	}
	if len(all.tests) < 50 {
		t.Errorf("only %d tests", len(all.tests))
	}
	if s := all.strays(); len(s) > 0 {
		t.Errorf("named after nothing: %q", s)
	}
}
