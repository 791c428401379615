// Package plan makes of a scenario who runs where, who watches whom, and what happens when.
//
// It is pure: the same scenario and seed give the same plan on any machine. What it draws for one node, or for one
// entry of a workload, depends on nothing else that is drawn, so that an entry more does not change the rest.
//
// It also says what a run will cost before anything runs: see [Estimate].
package plan
