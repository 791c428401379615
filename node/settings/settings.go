package settings

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds what is read, in bytes: nobody writes more by hand.
const maxFile = 1 << 20

// An Error says what is wrong with a file of settings, and where.
type Error struct {
	File    string
	Line    int // 0: the whole file
	Message string
	Advice  string // what to write instead; "" if nothing comes near
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	}
	return fmt.Sprintf("%s line %d: %s", e.File, e.Line, e.Message)
}

// Load reads file into the struct that into points to; what the file does not say stays as it was. The error is that
// of the file system if it cannot be read, fs.ErrNotExist among them, else an *Error.
func Load(file string, into any) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return &Error{File: file, Message: "not a file of settings"}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return parse(file, b, into)
}

func parse(file string, b []byte, into any) error {
	err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(into)
	var missing *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		first := missing.Errors[0]
		line, _ := first.Position()
		return unknown(file, line, strings.Join(first.Key(), "."), Keys(into))
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		return &Error{File: file, Line: line, Message: strings.TrimPrefix(wrong.Error(), "toml: ")}
	}
	return &Error{File: file, Message: strings.TrimPrefix(err.Error(), "toml: ")}
}

// unknown names the key that was meant: the nearest whole one, or the one that ends alike in another table.
func unknown(file string, line int, key string, known []string) error {
	e := &Error{File: file, Line: line, Message: fmt.Sprintf("there is no setting %q", key)}
	near := Nearest(key, known)
	if last := key[strings.LastIndex(key, ".")+1:]; len(near) == 0 {
		for _, k := range known {
			if k[strings.LastIndex(k, ".")+1:] == last {
				near = append(near, k)
			}
		}
	}
	if len(near) > 0 {
		e.Advice = fmt.Sprintf("did you mean %s?", near[0])
	} else {
		e.Advice = "it is one of " + strings.Join(known, ", ")
	}
	return e
}

// Keys are those of the struct that s is or points to, in its order, those of a table with its name before them.
func Keys(s any) (keys []string) {
	walk(reflect.Indirect(reflect.ValueOf(s)), "", func(table, key, _ string, _ reflect.Value) {
		if key != "" {
			keys = append(keys, table+key)
		}
	})
	return keys
}

// walk calls see with each table, whose key is "", and with each key; those of no table come first.
func walk(v reflect.Value, table string, see func(table, key, doc string, v reflect.Value)) {
	var tables []int
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("toml")
		if key == "" {
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			tables = append(tables, i)
			continue
		}
		see(table, key, f.Tag.Get("doc"), v.Field(i))
	}
	for _, i := range tables {
		f := v.Type().Field(i)
		name := table + f.Tag.Get("toml") + "."
		see(name, "", f.Tag.Get("doc"), v.Field(i))
		walk(v.Field(i), name, see)
	}
}
