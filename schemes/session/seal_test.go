package session

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
)

func someContent() *content {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)
	return &content{subject: "id-alice", epoch: 1_770_000_000_000_000, roles: []string{"staff", "admin"}, authTime: at, acr: "urn:example:mfa", amr: []string{"pwd", "otp"}, created: at, seen: at.Add(time.Minute),
		secret: strings.Repeat("s", 43), data: []byte{1, 2, 3}}
}

func newRing(t testing.TB, masters ...[]byte) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(masters...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sealed(t testing.TB, ring *keys.Ring, purpose keys.Purpose, name string, c *content) string {
	t.Helper()
	text, err := seal(ring, purpose, rand.Reader, name, c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSeal(t *testing.T) {
	ring := newRing(t, keys.Generate())
	want := someContent()
	text := sealed(t, ring, keys.SessionSeal, "a", want)
	if got, err := open(ring, keys.SessionSeal, "a", text); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	if again := sealed(t, ring, keys.SessionSeal, "a", want); again == text || again[20:60] == text[20:60] {
		t.Error("two cookies of one content are alike")
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || bytes.Contains(raw, []byte("alice")) {
		t.Errorf("the content can be read: %v", err)
	}
	refused := func(t *testing.T, name, text string) {
		t.Helper()
		if c, err := open(ring, keys.SessionSeal, name, text); !errors.Is(err, errSealed) || err != errSealed || c != nil {
			t.Errorf("%.40q: %v, %v", text, c, err)
		}
	}
	t.Run("attack_114_flips", func(t *testing.T) {
		for i := range raw {
			for bit := range 8 {
				raw[i] ^= 1 << bit
				refused(t, "a", base64.RawURLEncoding.EncodeToString(raw))
				raw[i] ^= 1 << bit
			}
		}
	})
	t.Run("attack_114_cut_and_swapped", func(t *testing.T) {
		for n := range text {
			refused(t, "a", text[:n])
		}
		refused(t, "a", text+"A")
		refused(t, "a", text+"=")
		refused(t, "a", "\n"+text)
		refused(t, "a", base64.StdEncoding.EncodeToString(raw))
		other, err := base64.RawURLEncoding.DecodeString(sealed(t, ring, keys.SessionSeal, "a", someContent()))
		if err != nil {
			t.Fatal(err)
		}
		for _, cut := range []int{sealHead + 8, sealHead + 16, sealHead + sealRandom, sealHead + sealRandom + 16, len(raw) - sealTag} {
			refused(t, "a", base64.RawURLEncoding.EncodeToString(append(bytes.Clone(raw[:cut]), other[cut:]...)))
		}
		last := text[:len(text)-1] // another spelling of the last character's spare bits
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			if s := last + string(c); s != text {
				refused(t, "a", s)
			}
		}
	})
	t.Run("attack_115_name_and_purpose", func(t *testing.T) {
		refused(t, "b", text)
		refused(t, "", text)
		refused(t, "__Host-a", text)
		for _, p := range []keys.Purpose{keys.CSRF, keys.DeviceCookie, keys.StaticToken, keys.SigningKeys} {
			refused(t, "a", sealed(t, ring, p, "a", want))
		}
	})
	t.Run("attack_117_rotation", func(t *testing.T) {
		one, two := keys.Generate(), keys.Generate()
		before := sealed(t, newRing(t, one), keys.SessionSeal, "a", want)
		both := newRing(t, two, one)
		if _, err := open(both, keys.SessionSeal, "a", before); err != nil {
			t.Errorf("new and old: %v", err)
		}
		if _, err := open(newRing(t, two), keys.SessionSeal, "a", before); err != errSealed {
			t.Errorf("new alone: %v", err)
		}
		after := sealed(t, both, keys.SessionSeal, "a", want)
		if _, err := open(newRing(t, two), keys.SessionSeal, "a", after); err != nil {
			t.Errorf("the newest does not seal: %v", err)
		}
		for _, bad := range [][]byte{nil, {}, make([]byte, 16), make([]byte, 32), bytes.Repeat([]byte{7}, 33)} {
			if _, err := keys.NewRing(bad); err == nil {
				t.Errorf("a master key of %d bytes was taken", len(bad))
			}
		}
	})
}

// Data that encode did not write is rejected, and causes no panic.
func FuzzOpen(f *testing.F) {
	ring := newRing(f, bytes.Repeat([]byte("0123456789abcdef"), 2))
	// The value is the same in each process of the fuzzer.
	good, err := seal(ring, keys.SessionSeal, strings.NewReader(strings.Repeat("r", sealRandom)), "a", someContent())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, someContent().encode())
	f.Add("", []byte{})
	f.Add(good[:40], []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, text string, plain []byte) {
		if c, err := open(ring, keys.SessionSeal, "a", text); text != good && (err != errSealed || c != nil) {
			t.Errorf("%q opens: %v", text, err)
		}
		if c, err := decodeContent(plain, sealVersion); err == nil {
			if again, err := decodeContent(c.encode(), sealVersion); err != nil || !reflect.DeepEqual(normal(again), normal(c)) {
				t.Errorf("%+v, then %+v, %v", c, again, err)
			}
		}
	})
}

// normal makes nil and empty lists equal.
func normal(c *content) content {
	n := *c
	if len(n.data) == 0 {
		n.data = nil
	}
	return n
}
