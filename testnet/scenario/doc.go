// Package scenario reads what a simulated network shall be and do.
//
// A scenario is one YAML file. It is read strictly: a word that is not known is an error that names its line and the
// nearest right word. Reading it draws no lots and looks at no file but the scenario: package plan makes of it who
// runs where, and what happens when.
//
// Each field of [Scenario] and of the types below it carries its own documentation, in the tag doc; [Reference]
// prints it, [Schema] makes the JSON schema of it that editors complete and check by.
package scenario
