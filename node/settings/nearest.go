package settings

import (
	"slices"
	"strings"
)

// Nearest returns those of known that word was probably meant to be, best first and of equals in order of
// the alphabet: with one letter in three wrong or swapped at most, or cut short. Letters' case counts not.
func Nearest(word string, known []string) (near []string) {
	typed := strings.ToLower(word)
	far := map[string]int{}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(known))) {
		d := distance([]rune(typed), []rune(strings.ToLower(k)))
		if len(typed) >= 3 && strings.HasPrefix(strings.ToLower(k), typed) {
			d = min(d, 1)
		}
		if d <= max(1, len(typed)/3) && len(typed) > 1 {
			near, far[k] = append(near, k), d
		}
	}
	slices.SortStableFunc(near, func(a, b string) int { return far[a] - far[b] })
	return near
}

// distance counts the letters to insert, delete, replace or swap with a neighbour (optimal string
// alignment).
func distance(a, b []rune) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range a {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range b {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			row[j+1] = min(last[j]+same, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows = [3][]int{last, row, before}
	}
	return rows[1][len(b)]
}
