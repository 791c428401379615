package formats

import (
	"bytes"
	"strings"
	"testing"
)

func TestParts(t *testing.T) {
	kind, both := Alternative("a cat", "en", "image/png", []byte{0x89, 'P', 'N', 'G', '\r', '\n', 0})
	mixed := "--x\r\nContent-Type: text/html\r\n\r\n<b>hi</b>\r\n--x\r\n\r\nplain, by default\r\n--x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"a.png\"\r\n\r\niVBO\r\nRw==\r\n--x--\r\n"
	signed := "--next\r\nContent-Type: Message/CPIM\r\n\r\n" + strings.TrimPrefix(pooh, "Content-type: Message/CPIM\r\n\r\n") + "\r\n--next\r\nContent-Type: application/pkcs7-signature\r\n\r\n(signature stuff)\r\n--next--\r\n"
	tests := []struct {
		name, kind, content string
		want                []string // type, and how the content begins
		words               string
	}{
		{"text is no parts", "text/plain", "hi", nil, ""},
		{"an image with words", kind, string(both), []string{"text/plain a cat", "image/png \x89PNG\r\n\x00"}, "a cat"},
		{"several", "multipart/mixed; boundary=x", mixed, []string{"text/html <b>hi</b>", "text/plain plain, by default", "image/png \x89PNG"}, "plain, by default"},
		{"nested", "multipart/mixed; boundary=y", "--y\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n" + mixed + "\r\n--y--", []string{"text/html <b>hi</b>", "text/plain plain, by default", "image/png \x89PNG"}, "plain, by default"},
		{"the signed example of RFC 3862", "multipart/signed; boundary=next; micalg=sha1", signed, []string{"text/xml <body>", "application/pkcs7-signature (signature stuff)"}, ""},
		{"cpim", TypeCPIM, least + "\r\nContent-Type: text/plain\r\n\r\nhi", []string{"text/plain hi"}, "hi"},
		{"cpim that is none", TypeCPIM, "hi", []string{"message/cpim hi"}, ""},
		{"without a boundary", "multipart/mixed", mixed, []string{"multipart/mixed --x"}, ""},
		{"cut off", "multipart/mixed; boundary=x", mixed[:len(mixed)-20], []string{"text/html <b>hi</b>", "text/plain plain, by default"}, "plain, by default"},
		{"latin-1 is no words", "multipart/mixed; boundary=x", "--x\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe9\r\n--x--", []string{"text/plain caf\xe9"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			parts := Parts(test.kind, []byte(test.content))
			if len(parts) != len(test.want) {
				t.Fatalf("%d parts: %+v", len(parts), parts)
			}
			for i, p := range parts {
				if !strings.HasPrefix(p.Type+" "+string(p.Content), test.want[i]) {
					t.Errorf("part %d: %s %q", i, p.Type, p.Content)
				}
			}
			if words, _ := Words(parts); words != test.words {
				t.Errorf("words %q", words)
			}
		})
	}
	if parts := Parts("multipart/mixed; boundary=x", []byte(mixed)); parts[2].Name != "a.png" {
		t.Errorf("named %q", parts[2].Name)
	}
	deep := strings.Repeat("--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n", 1000)
	if n := len(Parts("multipart/mixed; boundary=x", []byte(deep))); n > maxParts {
		t.Errorf("%d parts", n)
	}
}

func FuzzParts(f *testing.F) {
	kind, both := Alternative("words", "", "image/png", []byte("png"))
	f.Add(kind, both)
	f.Add("multipart/mixed; boundary=x", []byte("--x\r\n\r\nhi\r\n--x--"))
	f.Add(TypeCPIM, []byte(pooh))
	f.Fuzz(func(t *testing.T, kind string, b []byte) {
		before := bytes.Clone(b)
		if n := len(Parts(kind, b)); n > maxParts {
			t.Errorf("%d parts", n)
		}
		if !bytes.Equal(b, before) {
			t.Error("the octets have changed")
		}
	})
}
