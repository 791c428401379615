// Package shrink makes a failing run smaller: fewer nodes, less time, fewer faults and habits, as long as it still fails.
// What is left is what a person has to understand.
//
// It knows nothing of scenarios but that they are YAML: whoever calls it says of each candidate whether it fails. A
// candidate that cannot be run at all does not.
package shrink

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Case is a scenario with the number of its nodes.
type Case struct {
	Text  []byte
	Nodes int
}

// Config says how to shrink.
type Config struct {
	Fails func(Case) (bool, error) // an error ends the search
	Tries int                      // candidates at most; 100
	Keep  []string                 // keys at the top that stay whole; none
	Tell  func(tried int, what string, fails bool)
}

// ErrHolds is returned when the case does not fail to begin with.
var ErrHolds = errors.New("it does not fail, so there is nothing to shrink")

var errEnough = errors.New("enough tries")

// Shrink returns the smallest case that it finds, which fails, and how many candidates it took. When the tries are
// used up it returns what it has.
func Shrink(c Case, cfg Config) (Case, int, error) {
	if cfg.Tries == 0 {
		cfg.Tries = 100
	}
	s := &search{Config: cfg, best: c}
	fails, err := cfg.Fails(c)
	if err == nil && !fails {
		err = ErrHolds
	}
	if err != nil {
		return c, 1, err
	}
	s.tried = 1
	for better := true; better && err == nil; {
		before := s.best
		for _, pass := range []func() error{s.nodes, s.duration, s.parts} {
			if err = pass(); err != nil {
				break
			}
		}
		better = before.Nodes != s.best.Nodes || !bytes.Equal(before.Text, s.best.Text)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return s.best, s.tried, err
}

type search struct {
	Config
	best  Case
	tried int
	seen  map[string]bool // candidates that did not fail
}

// try takes a candidate if it fails.
func (s *search) try(c Case, what string) (bool, error) {
	key := fmt.Sprint(c.Nodes, "\n", string(c.Text))
	if s.seen[key] {
		return false, nil
	}
	if s.tried >= s.Tries {
		return false, errEnough
	}
	s.tried++
	fails, err := s.Fails(c)
	if err != nil {
		return false, err
	}
	if s.Tell != nil {
		s.Tell(s.tried, what, fails)
	}
	if fails {
		s.best = c
		return true, nil
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[key] = true
	return false, nil
}

// nodes looks for the least number that fails, as if fewer never failed where more do not.
func (s *search) nodes() error {
	least := 1 // known not to fail, or to be none
	for s.best.Nodes-least > 1 {
		n := (least + s.best.Nodes) / 2
		c := s.best
		c.Nodes = n
		ok, err := s.try(c, fmt.Sprintf("%d nodes", n))
		if err != nil {
			return err
		}
		if !ok {
			least = n
		}
	}
	return nil
}

// duration halves the time while that fails.
func (s *search) duration() error {
	for {
		root, m, err := parse(s.best.Text)
		if err != nil {
			return err
		}
		v := value(m, "duration")
		if v == nil {
			return nil
		}
		d, err := time.ParseDuration(v.Value)
		if err != nil || d <= 10*time.Second {
			return nil
		}
		half := (d / 2).Round(time.Second)
		v.SetString(brief(half))
		v.Style = 0
		c := s.best
		if c.Text, err = yaml.Marshal(root); err != nil {
			return err
		}
		if ok, err := s.try(c, "duration "+brief(half)); err != nil || !ok {
			return err
		}
	}
}

// brief writes a duration without its zeros.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parts leaves out every key and every element in turn, whole branches first.
func (s *search) parts() error {
	for depth := 1; depth <= 3; depth++ {
		for i := 0; ; {
			root, m, err := parse(s.best.Text)
			if err != nil {
				return err
			}
			all := s.places(m, depth, "", depth == 1)
			if i >= len(all) {
				break
			}
			p := all[len(all)-1-i] // from the end, so that what is left keeps its place
			p.remove()
			c := s.best
			if c.Text, err = yaml.Marshal(root); err != nil {
				return err
			}
			ok, err := s.try(c, "without "+p.name)
			if err != nil {
				return err
			}
			if !ok {
				i++
			}
		}
	}
	return nil
}

// A place is a part that can be left out.
type place struct {
	name   string
	remove func()
}

// needed stays: without it no scenario is one.
var needed = []string{"version", "name", "duration", "nodes", "expect", "seed"}

// places lists what lies at a depth below n.
func (s *search) places(n *yaml.Node, depth int, path string, top bool) (out []place) {
	join := func(word string) string {
		if path == "" {
			return word
		}
		return path + "." + word
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, v := n.Content[i].Value, n.Content[i+1]
			if path == "" && slices.Contains(s.Keep, key) {
				continue
			}
			if depth > 1 {
				out = append(out, s.places(v, depth-1, join(key), false)...)
			} else if !top || !slices.Contains(needed, key) {
				out = append(out, place{join(key), func() { n.Content = slices.Delete(n.Content, i, i+2) }})
			}
		}
	case yaml.SequenceNode:
		for i, v := range n.Content {
			word := fmt.Sprint(i)
			if depth > 1 {
				out = append(out, s.places(v, depth-1, join(word), false)...)
			} else if len(n.Content) > 1 {
				out = append(out, place{join(word), func() { n.Content = slices.Delete(n.Content, i, i+1) }})
			}
		}
	}
	return out
}

func parse(text []byte) (root, m *yaml.Node, err error) {
	root = &yaml.Node{}
	if err := yaml.Unmarshal(text, root); err != nil {
		return nil, nil, err
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, nil, errors.New("the scenario is no mapping")
	}
	return root, root.Content[0], nil
}

func value(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}
