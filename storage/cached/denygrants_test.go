package cached_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// Signed OAuth 2.0 access tokens of a user and of a client itself need no query either, until the
// client is disabled or deleted, the grant ends, or the account changes.
func TestDenySet_attack_108_grants(t *testing.T) {
	for what, end := range map[string]func(d *denying, family string) error{
		"client disabled":  func(d *denying, _ string) error { return d.s.SetClientDisabled(d.Context(), "app", true) },
		"client deleted":   func(d *denying, _ string) error { return d.s.DeleteClient(d.Context(), "app") },
		"grant ended":      func(d *denying, f string) error { return d.s.EndFamily(d.Context(), f, time.Now().Add(time.Minute)) },
		"account disabled": func(d *denying, _ string) error { return d.s.SetActive(d.Context(), "id", false) },
		"out and enabled": func(d *denying, _ string) error {
			must(d.T, d.s.SetClientDisabled(d.Context(), "app", true))
			return d.s.SetClientDisabled(d.Context(), "app", false)
		},
	} {
		t.Run(what, func(t *testing.T) {
			deny(t, denyOptions{}, func(d *denying) {
				created := time.Now()
				must(d.T, d.base.CreateClient(d.Context(), storage.Client{ID: "app", Method: "none", Created: created}))
				must(d.T, d.base.CreateFamily(d.Context(), storage.Family{ID: "grant", Purpose: "oauth2", Subject: "id", Client: "app", Created: created, AuthTime: created, Expires: created.Add(time.Hour)},
					storage.Refresh{Digest: storage.DigestOf("r"), Created: created, Expires: created.Add(time.Hour)}))
				ring := signing(d.T, "grants")
				sign := func(n int, lifetime time.Duration, more map[string]any) string {
					now := time.Now()
					c := map[string]any{"iss": "https://grants.example", "aud": "https://api.example", "sub": "app", "client_id": "app", "jti": fmt.Sprint(what, n),
						"iat": now.Unix(), "exp": now.Add(lifetime).Unix(), "ver": created.UnixMicro(), "scope": "profile"}
					for name, v := range more {
						c[name] = v
					}
					text, err := json.Marshal(c)
					must(d.T, err)
					access, err := ring.Sign(d.Context(), oauth2.TypeAccess, text)
					must(d.T, err)
					return access
				}
				grants, err := oauth2.New("https://grants.example", d.s, &oauth2.Options{SignedAccess: ring, Audience: "https://api.example"})
				must(d.T, err)
				d.h = authn.New(authn.Chain{grants}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				ofUser := map[string]any{"sub": "id", "sid": "grant", "ver": 0}
				d.want("the first token of a user", sign(1, time.Minute, ofUser), 200, 1)
				user, client := sign(2, time.Minute, ofUser), sign(3, time.Minute, nil)
				d.want("the second", user, 200, 0)
				d.want("a token of the client", client, 200, 0)
				d.want("one that lives too long", sign(4, 6*time.Minute, nil), 401, 0)
				d.want("one of the user that lives too long", sign(5, 6*time.Minute, ofUser), 401, 0)
				d.want("an unknown client", sign(6, time.Minute, map[string]any{"client_id": "app", "iss": "https://other.example"}), 401, 0)
				must(d.T, end(d, "grant"))
				d.refused("a token of the user", user)
				if what == "grant ended" || what == "account disabled" {
					d.want("a token of the client", client, 200, 0)
				} else {
					d.refused("a token of the client", client)
				}
				d.stop()
				again := replicaOf(d.T, d.base, denyOptions{set: cached.DenySet{Max: 100}})
				defer again.stop()
				again.proved()
				grants, err = oauth2.New("https://grants.example", again.s, &oauth2.Options{SignedAccess: ring, Audience: "https://api.example"})
				must(d.T, err)
				again.h = authn.New(authn.Chain{grants}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				again.refused("after a restart", user)
			})
		})
	}
}
