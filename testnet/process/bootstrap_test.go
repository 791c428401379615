package process

import "testing"

// Three nodes by which a community begins, as processes (seed ask S45): two of them are killed, and whoever is new comes in
// by the third, and talks with those who are there; then that is killed too, and the members keep talking, also after a
// restart.
func TestReq_S45_TwoOfThreeProcessesMayDie(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	nodes := []*operator{community(t, bin, "d"), community(t, bin, "e"), community(t, bin, "f")}
	alice, bob, carol := New(t, bin, "alice"), New(t, bin, "bob"), New(t, bin, "carol")
	for _, h := range []*Home{alice, bob} {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
		for _, o := range nodes {
			h.Must(t, "join", o.invite)
		}
	}
	Befriend(t, alice, bob)
	nodes[0].kill()
	nodes[2].kill()
	if err := carol.Up(); err != nil {
		t.Fatal(err)
	}
	carol.Must(t, "join", nodes[1].invite)
	Befriend(t, carol, bob)
	says := func(from, to *Home, name, text string) {
		t.Helper()
		from.Must(t, "send", name, text, "--wait", Patience.String())
		if rows := to.Must(t, "inbox", "--search", text); len(rows) != 1 {
			t.Errorf("%q is there %d times", text, len(rows))
		}
	}
	says(carol, bob, "bob", "I am new here")
	nodes[1].kill()
	says(alice, bob, "bob", "who needs a server")
	says(bob, carol, "carol", "nobody does")
	alice.Kill()
	if err := alice.Up(); err != nil {
		t.Fatal(err)
	}
	says(alice, bob, "bob", "back again")
}
