package tokentext

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

func token(t testing.TB) string {
	t.Helper()
	var body [Size]byte
	rand.Read(body[:])
	return Encode("vst", body)
}

// A fixed vector, its checksum computed with another program: the grammar lives
// in clients and scanners, so it never changes.
func TestEncodeVector(t *testing.T) {
	if got, want := Encode("vst", [Size]byte{}), "vst_"+strings.Repeat("A", 43)+"3l0iog"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestValid(t *testing.T) {
	good := token(t)
	if !Valid("vst", good) {
		t.Fatalf("%q is not valid", good)
	}
	for name, bad := range map[string]string{
		"empty": "", "prefix only": "vst_", "other prefix": "vkn" + good[3:], "upper case": strings.ToUpper(good),
		"cut by one": good[:52], "one more": good + "A", "doubled": good + good, "blank": good[:10] + " " + good[11:],
		"NUL": good[:10] + "\x00" + good[11:], "standard alphabet": good[:10] + "+" + good[11:],
	} {
		if Valid("vst", bad) {
			t.Errorf("%s: %q is valid", name, bad)
		}
	}
	for i := range good { // every single wrong character is found
		b := []byte(good)
		if b[i]++; Valid("vst", string(b)) {
			t.Errorf("character %d changed and still valid", i)
		}
	}
}

func TestShaped(t *testing.T) {
	var body [Size]byte
	for _, prefix := range []string{"vst", "ab", "abcdefghijklmnop"} {
		if text := Encode(prefix, body); !Shaped(text) || Shaped(text[1:]) || Shaped(text+"A") || Shaped(text[:len(text)-1]) {
			t.Errorf("%s", prefix)
		}
	}
	for _, text := range []string{"", "_", "vst_", strings.Repeat("a", 50), Encode("V1", body), Encode("a", body), Encode("abcdefghijklmnopq", body)} {
		if Shaped(text) {
			t.Errorf("%q", text)
		}
	}
}

// The last character of the body holds four bits: the other two must be zero,
// or four texts would be one token.
func TestSpareBits(t *testing.T) {
	good := token(t)
	n := len(good) - checkLen
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(alphabet, good[n-1])
	for extra := 1; extra < 4; extra++ {
		text := good[:n-1] + string(alphabet[at|extra])
		check := checksum([]byte(text))
		if text += string(check[:]); Valid("vst", text) {
			t.Errorf("%q is valid beside %q", text, good)
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	for _, p := range []string{"vs", "vst", "a1", "abcdefghijklmnop"} {
		if err := CheckPrefix(p); err != nil {
			t.Error(err)
		}
	}
	for _, p := range []string{"", "v", "1a", "Vst", "v_t", "v-t", "vst ", "abcdefghijklmnopq", "vé"} {
		if CheckPrefix(p) == nil {
			t.Errorf("prefix %q passed", p)
		}
	}
}

func TestPattern(t *testing.T) {
	re := regexp.MustCompile(Pattern("vst"))
	if text := token(t); re.FindString("curl -H 'Authorization: Token "+text+"'") != text {
		t.Errorf("%s does not find %s", re, text)
	}
}

func FuzzValid(f *testing.F) {
	f.Add("vst", token(f))
	f.Add("vst", "vst_")
	for i := range 60 { // each character once another one
		text := []byte(token(f))
		if i < len(text) {
			text[i] ^= 0x80
			f.Add("vst", string(text))
		}
	}
	f.Add("", "")
	f.Fuzz(func(t *testing.T, prefix, text string) {
		if got := Valid(prefix, text); got != slowly(prefix, text) {
			t.Errorf("%q: valid %t", text, got)
		} else if !got {
			return
		}
		if CheckPrefix(prefix) == nil && regexp.MustCompile(Pattern(prefix)).FindString(text) != text {
			t.Errorf("valid but not of the published pattern: %q", text)
		}
	})
}

// slowly is Valid by its own words.
func slowly(prefix, text string) bool {
	n := len(text) - checkLen
	if n != len(prefix)+1+bodyLen || !HasPrefix(prefix, text) {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text[n-bodyLen : n])
	check := checksum([]byte(text[:n]))
	return err == nil && len(raw) == Size && string(check[:]) == text[n:]
}
