package authn

import (
	"reflect"
	"strings"
	"testing"
)

// A challenge that is parsed and written again is the same. No text adds a line or a Basic
// challenge that was not there.
func FuzzChallenges(f *testing.F) {
	for _, s := range []string{
		"Bearer", `Bearer realm="a", scope=b`, `Bearer, DPoP algs="ES256"`, "Negotiate YWI=", `Basic realm="a\"b"`, `,, Token ,`, `Bearer realm="a, Basic b"`, `Bearer realm="a`, "Bearer =", "Bearer a = b , Basic c=d", `Bearer a="\`, "Digest a=b,c=d,E f=g",
		"A b c", "A b==, C", `A "b"`, "A a=b a=c", "bearer\tx=y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, ok := parseChallenges(s)
		if !ok {
			return
		}
		var texts []string
		for _, c := range list {
			texts = append(texts, c.String())
			if c.scheme == "" || c.token != "" && len(c.params) > 0 {
				t.Fatalf("%q: %+v", s, c)
			}
		}
		again, ok := parseChallenges(strings.Join(texts, ", "))
		if !ok || !reflect.DeepEqual(again, list) {
			t.Fatalf("%q: %+v, written %q, read %+v", s, list, texts, again)
		}
		for _, line := range arrange([]string{s}, true, true) {
			if strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("%q: line %q", s, line)
			}
			again, _ := parseChallenges(line)
			for _, c := range again {
				if isBasic := strings.EqualFold(c.scheme, "Basic"); isBasic {
					t.Fatalf("%q: %q", s, line)
				}
			}
		}
	})
}
