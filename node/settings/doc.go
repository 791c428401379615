// Package settings reads the small TOML files in which people write how a node is to run. A file is read into a
// struct: a key that the struct does not have is an error that names its line and the nearest key that there is, so
// that no wish is overlooked because of a letter. [Reference] prints such a struct as a file with every key, what it
// is for and its default: the reference that people read is made of the fields that the program reads.
//
// A field takes its key from the tag toml, and what is said of it from the tag doc. A struct within is a table.
package settings
