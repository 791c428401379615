package settings

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Reference is a file with every key of the struct that s is or points to: what it is for, and, commented out, the
// value that s has. A table whose keys are all commented out stands there all the same.
func Reference(s any) string {
	var b strings.Builder
	walk(reflect.Indirect(reflect.ValueOf(s)), "", func(table, key, doc string, v reflect.Value) {
		for line := range strings.SplitSeq(doc, "\n") {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		if key == "" {
			fmt.Fprintf(&b, "[%s]\n\n", strings.TrimSuffix(table, "."))
			return
		}
		fmt.Fprintf(&b, "#%s = %s\n\n", key, literal(v))
	})
	return strings.TrimSuffix(b.String(), "\n")
}

// Line is one line of a file: a key with its value.
func Line(key string, value any) []byte {
	return fmt.Appendf(nil, "%s = %s\n", key, literal(reflect.ValueOf(value)))
}

// literal is a value as TOML has it.
func literal(v reflect.Value) string {
	x := v.Interface()
	if t, ok := x.(encoding.TextMarshaler); ok {
		text, err := t.MarshalText()
		if err != nil {
			panic(err) // a default of our own
		}
		x = string(text)
	}
	if v.Kind() == reflect.Slice && v.Len() == 0 {
		return "[]"
	}
	out, err := toml.Marshal(map[string]any{"v": x})
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "v = "))
}
