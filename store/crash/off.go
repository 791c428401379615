//go:build !faults

package crash

// Point is where a crash test may end the process.
func Point(string) {}

// Planted reports whether a mistake is to be made.
func Planted(Mistake) bool { return false }

// Window makes a mistake's moment long enough for a kill to hit it.
func Window() {}
