package scenario

import (
	"fmt"
	"reflect"
	"strings"
)

// Schema is the JSON schema (2020-12) of a scenario, made of the types above.
func Schema() map[string]any {
	s := schemaOf(reflect.TypeFor[Scenario]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "A scenario of hum-testnet"
	s["required"] = []string{"version", "name", "duration", "nodes"}
	return s
}

func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[Duration](), reflect.TypeFor[Rate](), reflect.TypeFor[Clause]():
		return map[string]any{"type": "string"}
	case reflect.TypeFor[Share](), reflect.TypeFor[Dist]():
		return map[string]any{"type": []string{"string", "number"}}
	case reflect.TypeFor[Mix]():
		return map[string]any{"type": []string{"string", "object"}}
	}
	switch t.Kind() {
	case reflect.Struct:
		properties := map[string]any{}
		for i := range t.NumField() {
			f := t.Field(i)
			key := f.Tag.Get("yaml")
			if key == "-" {
				continue
			}
			p := schemaOf(f.Type)
			p["description"] = f.Tag.Get("doc")
			if words := strings.Fields(f.Tag.Get("enum")); len(words) > 0 {
				p["enum"] = words
			}
			properties[key] = p
		}
		return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Interface {
			return map[string]any{"type": "array"}
		}
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return map[string]any{"type": "string"}
}

// Reference is every key with its meaning, as Markdown.
func Reference() string {
	var b strings.Builder
	reference(&b, reflect.TypeFor[Scenario](), "")
	return b.String()
}

func reference(b *strings.Builder, t reflect.Type, path string) {
	var inner []func()
	name := path
	if name == "" {
		name = "the scenario"
	}
	fmt.Fprintf(b, "\n**%s**\n\n| key | is |\n|---|---|\n", name)
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", key, strings.ReplaceAll(f.Tag.Get("doc"), "|", `\|`))
		ft, at := f.Type, strings.TrimPrefix(path+"."+key, ".")
		if ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct && ft.Elem() != reflect.TypeFor[Clause]() && ft != reflect.TypeFor[Mix]() {
			ft, at = ft.Elem(), at+"[]"
		}
		if ft.Kind() == reflect.Struct && ft != reflect.TypeFor[Share]() && ft != reflect.TypeFor[Dist]() {
			inner = append(inner, func() { reference(b, ft, at) })
		}
	}
	for _, f := range inner {
		f()
	}
}
