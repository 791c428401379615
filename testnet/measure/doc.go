// Package measure says what a simulated network is measured by, and holds what a run gives.
//
// A [Definition] is the sentence that a figure stands for; each report prints those it uses. A [Result] is what
// one run gave, as plain values. It is kept as a folder:
//
//	manifest.json   what was run, by which code, on what, and how to run it again (Manifest)
//	summary.json    the verdict, every figure, distributions, tables and faults (Summary)
//	samples.csv     figures over virtual time, one a line: t,metric,class,value (Sample)
//	events.jsonl    what happened, one object a line, in the order of virtual time (Event)
//	scenario.yaml   the scenario as it was run, every override written into it
//
// All times in it are virtual, in seconds since the run began, unless they are said to be real. The folder is
// written while the run goes on: what a killed run leaves is readable, and its manifest says complete: false.
//
// Nothing that is missing is left out of a figure. What a node that was expected to see something never saw
// counts as lost; a node that is down when it should be up counts against those who watch it.
package measure
