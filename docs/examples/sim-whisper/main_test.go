package main

import "testing"

// The example runs: its adversary hears what honest people say, and they hear each other all the same.
func TestWhisper(t *testing.T) {
	run, heard := whisper(6, "1m")
	if run.Summary.Verdict != "pass" || heard == 0 {
		t.Errorf("%s with %d heard: %+v %v", run.Summary.Verdict, heard, run.Summary.Expect, run.Summary.Errors)
	}
}
