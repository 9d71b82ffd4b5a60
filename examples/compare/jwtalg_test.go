package main

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// Every path of JWTs works whatever signs them, with the cache and without, and what is
// published is public: of HS256's secret nothing is.
func TestJWTAlgorithms(t *testing.T) {
	cases := [][2]string{{"", "30s"}, {"HS256", "30s"}}
	for alg := range strings.SplitSeq(algorithms, ", ") {
		cases = append(cases, [2]string{alg, "off"})
	}
	for _, of := range cases {
		alg, cache := of[0], of[1]
		t.Run(alg+" -cache "+cache, func(t *testing.T) {
			c := newClient(t, "-jwt-alg", alg, "-cache", cache)
			jwtPaths(t, c)
			want := alg
			if want == "" {
				want = "EdDSA"
			}
			head, _, _ := strings.Cut(c.JSON("/jwt/token", alicesLogin)["access"], ".")
			if text, err := base64.RawURLEncoding.DecodeString(head); err != nil || !strings.Contains(string(text), `"alg":"`+want+`"`) {
				t.Errorf("signed with %s, %v", text, err)
			}
			_, text := c.Do("GET", "/.well-known/jwks.json", "")
			if want == "HS256" {
				if text != `{"keys":[]}` {
					t.Errorf("published: %s", text)
				}
				return
			}
			if set, err := jose.ParseJWKS([]byte(text)); err != nil || len(set) != 1 || string(set[0].Algorithm()) != want {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}

// A database keeps the key that it has: who names another algorithm is told so, and who
// names none is served.
func TestJWTAlgorithmOfDatabase(t *testing.T) {
	db, err := sqlite.Open(t.TempDir()+"/db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ alg, want string }{
		{"HS256", ""}, {"", ""}, {"HS256", ""}, {"EdDSA", "-jwt-alg EdDSA: the database has a key for HS256; vestibule keys rotate makes another"},
	} {
		cfg, err := parseFlags([]string{"-jwt-alg", step.alg})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = newJWT(t.Context(), cfg, db, ring); err == nil && step.want != "" || err != nil && err.Error() != step.want {
			t.Errorf("%q: %v", step.alg, err)
		}
	}
}
