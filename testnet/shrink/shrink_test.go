package shrink

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const text = `version: 1
name: big
title: much that does not matter
duration: 40m
links: {loss: 1%, jitter: 5ms}
nodes:
  - {class: home, count: 90, loss: 2%}
  - {class: hub, exactly: 3}
workload:
  - {presence: exp(1m)}
  - {message: exp(2m), size: 90}
faults:
  - {at: 1m, sleep: true, share: 5%}
  - {at: 2m, for: 1m, crash: true, share: 5%}
  - {at: 20m, partition: half}
expect: [messages_lost == 0]
`

// A world that fails when, and only when, something crashes among 13 nodes or more who write messages, in three
// minutes or more.
func fails(c Case) (bool, error) {
	var s struct {
		Duration string
		Nodes    []map[string]any
		Workload []map[string]any
		Faults   []map[string]any
	}
	if err := yaml.Unmarshal(c.Text, &s); err != nil {
		return false, err
	}
	short := map[string]bool{"2m30s": true, "1m15s": true, "1m": true}
	crash, message := false, false
	for _, f := range s.Faults {
		crash = crash || f["crash"] == true && f["at"] != nil
	}
	for _, w := range s.Workload {
		message = message || w["message"] != nil
	}
	return crash && message && c.Nodes >= 13 && len(s.Nodes) > 0 && s.Nodes[0]["class"] != nil && !short[s.Duration], nil
}

func TestShrinkFindsWhatMatters(t *testing.T) {
	told := 0
	c, tried, err := Shrink(Case{[]byte(text), 93}, Config{Fails: fails, Tell: func(int, string, bool) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := fails(c); !ok {
		t.Errorf("what is left does not fail:\n%s", c.Text)
	}
	if c.Nodes != 13 || !strings.Contains(string(c.Text), "duration: 5m") {
		t.Errorf("%d nodes:\n%s", c.Nodes, c.Text)
	}
	for _, gone := range []string{"title", "links", "presence", "sleep", "partition", "share", "size", "loss: 2%"} {
		if strings.Contains(string(c.Text), gone) {
			t.Errorf("%s is still there:\n%s", gone, c.Text)
		}
	}
	if strings.Count(string(c.Text), "class:") != 1 {
		t.Errorf("more than one class is left:\n%s", c.Text)
	}
	if tried > 100 || told != tried-1 {
		t.Errorf("%d tries, %d told", tried, told)
	}
}

func TestShrinkWhatHolds(t *testing.T) {
	if _, _, err := Shrink(Case{[]byte(text), 5}, Config{Fails: fails}); !errors.Is(err, ErrHolds) {
		t.Errorf("got %v", err)
	}
}

func TestShrinkGivesUp(t *testing.T) {
	c, tried, err := Shrink(Case{[]byte(text), 93}, Config{Fails: fails, Tries: 4})
	if ok, _ := fails(c); err != nil || !ok || tried != 4 || c.Nodes == 93 {
		t.Errorf("%d nodes after %d tries, %v", c.Nodes, tried, err)
	}
	broken := errors.New("no disk")
	if _, _, err := Shrink(Case{[]byte(text), 93}, Config{Fails: func(Case) (bool, error) { return false, broken }}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
