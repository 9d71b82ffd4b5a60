package credential

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

const hidden = "hunter2-secret"

type pair struct {
	Redacted
	Access, Refresh string
}

// No way to print a secret reveals it.
func TestRedacted(t *testing.T) {
	for name, v := range map[string]any{
		"Secret": Secret(hidden), "pointer": ptr(Secret(hidden)), "embedded": pair{Access: hidden, Refresh: hidden},
		"in a struct": struct{ S Secret }{hidden}, "in a list": []Secret{hidden}, "in a map": map[string]Secret{"a": hidden},
	} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		fmt.Fprint(&out, v)
		fmt.Fprint(&out, errors.New(fmt.Sprint(v)))
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name != "in a map" && name != "in a struct" { // XML has no maps and no structs without a name
			if err := xml.NewEncoder(&out).Encode(v); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		text := out.String()
		if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) || !strings.Contains(text, "[redacted]") {
			t.Errorf("%s: %s", name, text)
		}
	}
	s := Secret(hidden)
	if s.Reveal() != hidden || s.Digest() != storage.DigestOf(hidden) || !s.Equal(hidden) || s.Equal(hidden+"x") || s.Equal("") {
		t.Error("Reveal, Digest or Equal")
	}
}

func ptr[T any](v T) *T { return &v }

func TestMAC(t *testing.T) {
	var one, two keys.Key
	two[0] = 1
	mac := MAC(one, "label", "a", "b")
	if again := MAC(one, "label", "a", "b"); !hmac.Equal(mac[:], again[:]) {
		t.Error("not the same twice")
	}
	for name, other := range map[string][32]byte{
		"key": MAC(two, "label", "a", "b"), "label": MAC(one, "labe", "la", "b"), "order": MAC(one, "label", "b", "a"),
		"joined": MAC(one, "label", "ab"), "moved": MAC(one, "label", "", "ab"), "more": MAC(one, "label", "a", "b", ""),
		"label moved": MAC(one, "labela", "b"), "none": MAC(one, "label"),
	} {
		if other == mac {
			t.Errorf("another %s gives the same", name)
		}
	}
}

func TestWords(t *testing.T) {
	for s, want := range map[string]bool{"Token": true, "X-1_y": true, "": false, "a b": false, "a=b": false, "é": false, "a\n": false} {
		if got := CheckKeyword(s) == nil; got != want || IsName(s) != want {
			t.Errorf("keyword %q: %t", s, got)
		}
	}
	for s, want := range map[string]bool{"": true, "api of us": true, `a"b`: false, `a\b`: false, "a\nb": false, "é": false, "\x7f": false} {
		if got := CheckRealm(s) == nil; got != want {
			t.Errorf("realm %q: %t", s, got)
		}
	}
	if got := Challenge("Token", "") + Challenge("Token", "api"); got != `TokenToken realm="api"` {
		t.Error(got)
	}
	if got := Stamp(time.Unix(1, 1999).In(time.FixedZone("x", 3600))); got != time.Unix(1, 1000).UTC() {
		t.Error(got)
	}
	for in, want := range map[string]string{"Firefox/1 (é)": "Firefox/1 (é)", "a\r\nb\x00\x7f": "ab", "a\xffb\ufffd": "ab", "éééééé": "éééé"} {
		if got := Printable(in, 9); in != "Firefox/1 (é)" && got != want || in == "Firefox/1 (é)" && Printable(in, 99) != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestNewID(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		id, err := NewID(rand.Reader)
		if err != nil || len(id) != 32 || seen[id] {
			t.Fatalf("%q, %v", id, err)
		}
		seen[id] = true
	}
	if id, err := NewID(iotest.ErrReader(errors.New("down"))); err == nil || id != "" {
		t.Errorf("%q, %v", id, err)
	}
}

func TestCheckAccount(t *testing.T) {
	for _, x := range []struct {
		active bool
		epoch  int64
		want   error
	}{{true, 7, nil}, {true, 8, ErrEpoch}, {true, 6, ErrEpoch}, {false, 7, ErrDisabled}, {false, 8, ErrDisabled}} {
		if err := CheckAccount(storage.User{Active: x.active, Epoch: x.epoch}, 7); err != x.want {
			t.Errorf("%+v: %v", x, err)
		}
	}
}
