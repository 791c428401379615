package settings

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
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

// literal is a value as TOML has it; strings, numbers and lists of them are written there as in JSON.
func literal(v reflect.Value) string {
	x := v.Interface()
	if v.Kind() == reflect.Slice && v.Len() == 0 {
		return "[]"
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(x); err != nil {
		panic(err) // no setting is of such a type
	}
	return strings.ReplaceAll(strings.TrimSpace(b.String()), `","`, `", "`)
}
