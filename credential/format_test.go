package credential

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

var vst = MustFormat("vst")

func token(t testing.TB) string {
	t.Helper()
	text, err := vst.New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A fixed vector whose checksum was computed with another program. The format is used by clients
// and scanners, so it must never change.
func TestEncodeVector(t *testing.T) {
	if got, want := vst.Encode([Size]byte{}), "vst_"+strings.Repeat("A", 43)+"3l0iog"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNew(t *testing.T) {
	body := bytes.Repeat([]byte{7}, Size)
	text, err := vst.New(bytes.NewReader(body))
	if err != nil || text != vst.Encode([Size]byte(body)) {
		t.Errorf("%q, %v", text, err)
	}
	down := errors.New("down")
	for name, r := range map[string]*struct {
		text string
		err  error
	}{"failing": {err: down}, "short": {text: "abc"}} {
		source := iotest.ErrReader(down)
		if r.err == nil {
			source = strings.NewReader(r.text)
		}
		if text, err := vst.New(source); err == nil || text != "" || r.err != nil && !errors.Is(err, r.err) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestValid(t *testing.T) {
	good := token(t)
	if !vst.Valid(good) || !vst.Fits(good) || !vst.HasPrefix(good) {
		t.Fatalf("%q is not valid", good)
	}
	for name, bad := range map[string]string{
		"empty": "", "prefix only": "vst_", "other prefix": "vkn" + good[3:], "upper case": strings.ToUpper(good),
		"cut by one": good[:52], "one more": good + "A", "doubled": good + good, "blank": good[:10] + " " + good[11:],
		"NUL": good[:10] + "\x00" + good[11:], "standard alphabet": good[:10] + "+" + good[11:],
	} {
		if vst.Valid(bad) {
			t.Errorf("%s: %q is valid", name, bad)
		}
	}
	for i := range good { // every single wrong character is found
		b := []byte(good)
		if b[i]++; vst.Valid(string(b)) {
			t.Errorf("character %d changed and still valid", i)
		}
	}
	var zero Format
	for _, text := range []string{good, "", "_", zero.Encode([Size]byte{})} {
		if zero.Valid(text) || zero.Fits(text) || zero.HasPrefix(text) {
			t.Errorf("the zero Format accepts %q", text)
		}
	}
}

func TestIsToken(t *testing.T) {
	var body [Size]byte
	for _, prefix := range []string{"vst", "ab", "abcdefghijklmnop"} {
		if text := MustFormat(prefix).Encode(body); !IsToken(text) || IsToken(text[1:]) || IsToken(text+"A") || IsToken(text[:len(text)-1]) {
			t.Errorf("%s", prefix)
		}
	}
	for _, text := range []string{"", "_", "vst_", strings.Repeat("a", 50), Format{"V1"}.Encode(body), Format{"a"}.Encode(body), Format{"abcdefghijklmnopq"}.Encode(body)} {
		if IsToken(text) {
			t.Errorf("%q", text)
		}
	}
}

// The last character of the body encodes four bits. The other two must be zero, because otherwise
// four texts would be the same token.
func TestSpareBits(t *testing.T) {
	good := token(t)
	n := len(good) - checkLen
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(alphabet, good[n-1])
	for extra := 1; extra < 4; extra++ {
		text := good[:n-1] + string(alphabet[at|extra])
		check := checksum([]byte(text))
		if text += string(check[:]); vst.Valid(text) {
			t.Errorf("%q is valid beside %q", text, good)
		}
	}
}

func TestNewFormat(t *testing.T) {
	for _, p := range []string{"vs", "vst", "a1", "abcdefghijklmnop"} {
		if f, err := NewFormat(p); err != nil || f.Prefix() != p {
			t.Error(f, err)
		}
	}
	for _, p := range []string{"", "v", "1a", "Vst", "v_t", "v-t", "vst ", "abcdefghijklmnopq", "vé"} {
		if _, err := NewFormat(p); err == nil {
			t.Errorf("prefix %q was accepted", p)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("MustFormat(%q) did not panic", p)
				}
			}()
			MustFormat(p)
		}()
	}
}

func TestPattern(t *testing.T) {
	re := regexp.MustCompile(vst.Pattern())
	if text := token(t); re.FindString("curl -H 'Authorization: Token "+text+"'") != text {
		t.Errorf("%s does not find %s", re, text)
	}
}

func FuzzValid(f *testing.F) {
	f.Add("vst", token(f))
	f.Add("vst", "vst_")
	for i := range 60 { // each character replaced once
		text := []byte(token(f))
		if i < len(text) {
			text[i] ^= 0x80
			f.Add("vst", string(text))
		}
	}
	f.Add("", "")
	f.Fuzz(func(t *testing.T, prefix, text string) {
		got := Format{prefix}.Valid(text)
		if got != slowly(prefix, text) {
			t.Errorf("%q: valid %t", text, got)
		} else if !got {
			return
		}
		if CheckPrefix(prefix) == nil && regexp.MustCompile(Format{prefix}.Pattern()).FindString(text) != text {
			t.Errorf("valid but not of the published pattern: %q", text)
		}
	})
}

// slowly is Valid, written from its documentation.
func slowly(prefix, text string) bool {
	n := len(text) - checkLen
	if prefix == "" || n != len(prefix)+1+bodyLen || text[:len(prefix)+1] != prefix+"_" {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text[n-bodyLen : n])
	check := checksum([]byte(text[:n]))
	return err == nil && len(raw) == Size && string(check[:]) == text[n:]
}

// If a new prefix is not in the list, mistyped tokens could be sent to other issuers.
func TestHasShippedPrefix(t *testing.T) {
	for _, text := range []string{"", "vat", "vat-", "ory_at_x", "at_x", "va_x", " va_", "xva_t", "VAT_x"} {
		if HasShippedPrefix(text) {
			t.Errorf("%q", text)
		}
	}
	found, quoted := map[string]bool{}, regexp.MustCompile(`"(v[a-z]{2})"`)
	for _, root := range []string{"../schemes", "../authn"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range quoted.FindAllStringSubmatch(string(source), -1) {
				if m[1] == "ver" { // a claim
					continue
				}
				if found[m[1]] = true; !HasShippedPrefix(m[1] + "_") {
					t.Errorf("%s: the prefix %q is not in the list", path, m[1])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(strings.Fields(shipped)); len(found) != n {
		t.Errorf("found the prefixes %v, %d are in the list", found, n)
	}
}
