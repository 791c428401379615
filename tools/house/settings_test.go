package house

import (
	"os"
	"testing"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/host"
	"github.com/hum-presence/hum/node/settings"
)

// The references of the two files of settings are what the programs read, key by key, with the defaults they take.
func TestReferencesOfSettings(t *testing.T) {
	for file, want := range map[string]string{
		"community.toml": settings.Reference(host.DefaultSettings()), // hum community config >docs/community.toml
		"config.toml":    settings.Reference(node.Settings{}),
	} {
		got, err := os.ReadFile("../../docs/" + file)
		if err != nil || string(got) != want {
			t.Errorf("docs/%s (%v) is to be\n%s", file, err, want)
		}
	}
}
