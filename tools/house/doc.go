// Package house holds the plan of the house against the house: which room may import which, which room
// alone may use a big dependency, and that the files which the README names in its two flows are there.
// It is all tests; run them with go test ./tools/house.
package house
