// Package rfc takes documents and schemas out of the texts of RFCs, for tests of what is exchanged with
// others. The texts are no part of this project: they are read from ../shared/rfc beside it, or from the
// folder named by HUM_RFC. Where they are absent nothing is shown, and that is said aloud.
package rfc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The namespaces that the RFCs print schemas for.
const (
	nsXML    = "http://www.w3.org/XML/1998/namespace"
	nsPIDF   = "urn:ietf:params:xml:ns:pidf"
	nsModel  = "urn:ietf:params:xml:ns:pidf:data-model"
	nsRPID   = "urn:ietf:params:xml:ns:pidf:rpid"
	nsTimed  = "urn:ietf:params:xml:ns:pidf:timed-status"
	nsCIPID  = "urn:ietf:params:xml:ns:pidf:cipid"
	nsWinfo  = "urn:ietf:params:xml:ns:watcherinfo"
	nsPolicy = "urn:ietf:params:xml:ns:common-policy"
	nsRules  = "urn:ietf:params:xml:ns:pres-rules"
)

// Text returns the text of an RFC with the page breaks joined.
func Text(t testing.TB, number int) string {
	t.Helper()
	dir := os.Getenv("HUM_RFC")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "rfc") // every test runs two folders below the project
	}
	b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("rfc%d.txt", number)))
	if err != nil {
		fmt.Printf("NOT RUN: %s needs the text of RFC %d, and there is none: %v\nNOT RUN: name the folder of the RFC texts with HUM_RFC. What the test is to show is NOT SHOWN.\n", t.Name(), number, err)
		t.Skipf("not run: no text of RFC %d", number)
	}
	return pageBreak.ReplaceAllString(string(b), "\n")
}

// pageBreak is what stands between the last line of a page and the first of the next.
var pageBreak = regexp.MustCompile(`\n*[^\n]*\[Page \d+\]\r?\n\f?\n*RFC \d+[^\n]*\n\n*`)

var (
	schemaForm  = regexp.MustCompile(`(?s)<xs:schema\b.*?</xs:schema>`)
	targetForm  = regexp.MustCompile(`^<xs:schema[^>]*\btargetNamespace="([^"]*)"`)
	exampleForm = regexp.MustCompile(`(?s)<\?xml version="1\.0" encoding="UTF-8"\?>\s*<(?:impp:)?presence.*?</(?:impp:)?presence>`)
)

// Examples returns the presence documents in a part of an RFC, from and to its headings.
func Examples(t testing.TB, number int, from, to string) []string {
	t.Helper()
	text := Text(t, number)
	if i := strings.LastIndex(text, from); i >= 0 {
		text = text[i:]
	}
	if i := strings.Index(text, to); to != "" && i >= 0 {
		text = text[:i]
	}
	return exampleForm.FindAllString(text, -1)
}

// Schemas are the schemas that the RFCs print, as they print them. Three things of ours join them,
// and change none: RFC 4480 prints no include of the common types of RFC 4479 that it uses, so both are
// included by a schema that says nothing else; the attribute xml:lang, which all import from the W3C, is
// declared; and one schema imports them all.
type Schemas struct{ dir string }

// Load reads them. That xmllint is missing is a failure.
func Load(t testing.TB) Schemas {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Fatalf("xmllint is needed, of the package libxml2-utils: %v", err)
	}
	s := Schemas{t.TempDir()}
	files := map[string]string{}
	for _, number := range []int{3858, 3863, 4479, 4480, 4481, 4482, 4745, 5025} {
		for _, schema := range schemaForm.FindAllString(Text(t, number), -1) {
			target := "common"
			if m := targetForm.FindStringSubmatch(schema); m != nil {
				target = m[1]
			}
			if target != nsPIDF+":status" { // an example of an extension, and no schema of the RFC
				files[target] = schema
			}
		}
	}
	if len(files) != 9 {
		t.Fatalf("the RFCs print 9 schemas; found %d", len(files))
	}
	s.write(t, "common-schema.xsd", files["common"])
	s.write(t, "xml.xsd", `<xs:schema targetNamespace="`+nsXML+`" xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:attribute name="lang" type="xs:language"/></xs:schema>`)
	all := `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">`
	for i, ns := range []string{nsPIDF, nsModel, nsRPID, nsTimed, nsCIPID, nsWinfo, nsPolicy, nsRules} {
		name := fmt.Sprintf("s%d.xsd", i)
		s.write(t, name, files[ns])
		if ns == nsRPID {
			name = "rpid.xsd"
			s.write(t, name, `<xs:schema targetNamespace="`+nsRPID+`" xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:include schemaLocation="common-schema.xsd"/><xs:include schemaLocation="`+fmt.Sprintf("s%d.xsd", i)+`"/></xs:schema>`)
		}
		all += `<xs:import namespace="` + ns + `" schemaLocation="` + name + `"/>`
	}
	s.write(t, "all.xsd", all+`</xs:schema>`)
	at := "file://" + filepath.ToSlash(filepath.Join(s.dir, "xml.xsd"))
	catalog := `<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">`
	for _, id := range []string{"http://www.w3.org/2001/xml.xsd", "http://www.w3.org/2001/03/xml.xsd"} {
		catalog += `<system systemId="` + id + `" uri="` + at + `"/><uri name="` + id + `" uri="` + at + `"/>`
	}
	s.write(t, "catalog.xml", catalog+`</catalog>`)
	return s
}

func (s Schemas) write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Validate has xmllint check the documents against the schemas, and returns what it says of each that is
// refused.
func (s Schemas) Validate(t testing.TB, docs ...[]byte) map[int]string {
	t.Helper()
	args := []string{"--nonet", "--noout", "--schema", filepath.Join(s.dir, "all.xsd")}
	for i, d := range docs {
		name := fmt.Sprintf("doc%d.xml", i)
		s.write(t, name, string(d))
		args = append(args, filepath.Join(s.dir, name))
	}
	cmd := exec.Command("xmllint", args...)
	cmd.Env = append(os.Environ(), "XML_CATALOG_FILES="+filepath.Join(s.dir, "catalog.xml"))
	out, _ := cmd.CombinedOutput()
	refused := map[int]string{}
	valid := 0
	for line := range strings.Lines(string(out)) {
		if strings.HasSuffix(strings.TrimSpace(line), " validates") {
			valid++
		}
	}
	for i := range docs {
		path := filepath.Join(s.dir, fmt.Sprintf("doc%d.xml", i))
		if strings.Contains(string(out), path+" validates") {
			continue
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, path) {
				refused[i] += line
			}
		}
		if refused[i] == "" {
			t.Fatalf("xmllint says nothing of document %d:\n%s", i, out)
		}
	}
	if valid+len(refused) != len(docs) {
		t.Fatalf("of %d documents %d are valid and %d are not:\n%s", len(docs), valid, len(refused), out)
	}
	return refused
}

// AllValid fails for each document that the schemas refuse.
func (s Schemas) AllValid(t testing.TB, docs ...[]byte) {
	t.Helper()
	for i, why := range s.Validate(t, docs...) {
		t.Errorf("refused by the schema:\n%s\n%s", why, docs[i])
	}
}
