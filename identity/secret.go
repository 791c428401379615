package identity

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what fmt and slog print in the place of a secret.
const hidden = "(secret)"

// Secrets implement fmt.Formatter, so that no verb, not even %x, reaches their bytes.
var (
	_ fmt.Formatter = SigningKey{}
	_ fmt.Formatter = PreKeySecret{}
	_ fmt.Formatter = Seed{}
	_ fmt.Formatter = KeyringConfig{}
	_ fmt.Formatter = PortableKeys{}
	_ fmt.Formatter = (*Keyring)(nil)
)

func formatHidden(s fmt.State) { io.WriteString(s, hidden) }

// String hides the key.
func (k SigningKey) String() string { return hidden }

// GoString hides the key.
func (k SigningKey) GoString() string { return hidden }

// Format hides the key from every verb.
func (k SigningKey) Format(s fmt.State, _ rune) { formatHidden(s) }

// LogValue hides the key.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue(hidden) }

// String hides the key.
func (p PreKeySecret) String() string { return hidden }

// GoString hides the key.
func (p PreKeySecret) GoString() string { return hidden }

// Format hides the key from every verb.
func (p PreKeySecret) Format(s fmt.State, _ rune) { formatHidden(s) }

// LogValue hides the key.
func (p PreKeySecret) LogValue() slog.Value { return slog.StringValue(hidden) }
