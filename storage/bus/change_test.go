package bus

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// The triggers of PostgreSQL write these numbers, and programs of several versions read them.
func TestKindsKeepTheirNumbers(t *testing.T) {
	for want, k := range []Kind{StaticTokens, Credentials, Sessions, AccessTokens, Standings, UserStandings, Blocks, LiveUsers, Permissions, Clients, Links, Kinds} {
		if int(k) != want {
			t.Errorf("%d, want %d", k, want)
		}
	}
}

// What cannot be read, such as a message of a later version, is everything.
func TestRead(t *testing.T) {
	d := storage.DigestOf("x")
	for _, c := range []Change{{All: true}, {Subject: "staff:1"}, {Subject: "a\nsubject b"}, {Key: Key{Blocks, d}}, {Key: Key{Permissions, d}}, {Key: Key{Links, d}}} {
		text, err := c.MarshalText()
		if got := Read(string(text)); err != nil || got != c {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, c)
		}
	}
	hex := strings.Repeat("0f", 32)
	for _, text := range []string{"", "all ", "ALL", "all x", "subject", "subject ", "key", "key 6", "key 6 " + hex[2:], "key 6 " + hex + "0f", "key : " + hex, "key 11 " + hex, "key 010 " + hex, "key +1 " + hex, "key x " + hex, "key 6 " + strings.Repeat("xx", 32), "v2 all", "subjects 1"} {
		if got := Read(text); got != (Change{All: true}) {
			t.Errorf("%q: %+v, want everything", text, got)
		}
	}
}

type calls []string

func (c *calls) InvalidateKey(Key)          { *c = append(*c, "key") }
func (c *calls) InvalidateSubject(s string) { *c = append(*c, "subject "+s) }
func (c *calls) FlushAll()                  { *c = append(*c, "all") }
func (c *calls) Bypass(bool)                { *c = append(*c, "bypass") }

func TestApply(t *testing.T) {
	var got calls
	for _, c := range []Change{{All: true, Subject: "x"}, {Subject: "x"}, {}} {
		c.Apply(&got)
	}
	if s := strings.Join(got, ", "); s != "all, subject x, key" {
		t.Error(s)
	}
}
