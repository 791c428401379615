// Package report shows what a run of a simulated network gave: one page that needs no network, and plain files
// beside it from which every plot can be drawn again.
//
//	report.html     the verdict, how to repeat the run, what each figure means, plots, tables; light and dark
//	plots/*.svg     every plot by itself, for a paper
//	plots/*.csv     what it was drawn from
//	plots/*.vl.json the same plot for Vega-Lite, with its data in it
//
// [Write] makes it of one run folder, or of a folder of several runs that differ in their seed. [Compare] sets two of
// them side by side, with the interval of each difference.
package report
