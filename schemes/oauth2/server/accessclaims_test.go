package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// ownMembers are claims of an access token and of introspection.
var ownMembers = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "sid", "ver", "auth_time", "acr", "amr", "cnf", "act", "may_act", "active", "username", "token_type", "azp", "scp", "events", "nonce"}

// The application's claims are in signed tokens and in introspection, for every grant, and describe
// the token. Reserved claims win in any case of letters.
func TestAccessClaims(t *testing.T) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
				p := oauthtest.NewProvider(t, s, jose.EdDSA, func(o *oauthtest.Options) {
					o.SignedAccess = signed
					o.AccessClaims = func(_ context.Context, a server.AccessGrant) (map[string]any, error) {
						all := map[string]any{"tenant": "t-1", "of": a.User.ID + "/" + a.Client + "/" + strings.Join(a.Scopes, " ") + "/" + strings.Join(a.Resource, " "), "roles": []string{"admin"}}
						for _, name := range ownMembers {
							all[strings.ToUpper(name)], all[name] = "forged", "forged"
						}
						return all, nil
					}
				})
				w := p.World
				grant := w.Exchange("app", w.Code("app", nil))
				next := w.Refreshes("app", grant.Refresh)
				own := w.Post(w.Token(), "app", "grant_type", "client_credentials")
				for what, c := range map[string]struct{ token, of string }{
					"code":               {grant.Access, "id-alice/app/read/https://api.example"},
					"refresh":            {next.Access, "id-alice/app/read/https://api.example"},
					"client credentials": {own.Access, "/app/read/https://api.example"},
				} {
					r := w.Post(w.Introspect(), "api", "token", c.token)
					told := map[string]map[string]any{"introspection": {}}
					oauthtest.Must(t, json.Unmarshal([]byte(r.Body), ptr(told["introspection"])))
					if signed {
						told["token"] = p.ClaimsOf(c.token, oauth2.TypeAccess)
					}
					for where, got := range told {
						if got["tenant"] != "t-1" || got["of"] != c.of || strings.Contains(fmt.Sprint(got), "forged") || got["client_id"] != "app" {
							t.Errorf("%s, %s: %v", what, where, got)
						}
						for name := range got {
							if name != strings.ToLower(name) {
								t.Errorf("%s, %s: claim %q", what, where, name)
							}
						}
					}
					id, err := w.Identity(c.token)
					if err != nil || id.Roles != nil || !id.Delegated() {
						t.Errorf("%s: %+v, %v", what, id, err)
					}
				}
				if !signed {
					return
				}
				v, err := jwt.NewVerifier(oauthtest.Issuer, audienceOfWorld, p.Keys, &jwt.VerifierOptions{OwnIssuer: true, Roles: []string{"roles"}, Clock: w.Clock})
				oauthtest.Must(t, err)
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Authorization", "Bearer "+grant.Access)
				if id, err := v.Authenticate(r); err != nil || id.Roles != nil || id.Subject != "id-alice" || !id.Delegated() {
					t.Errorf("verifier: %+v, %v", id, err)
				}
			})
		})
	}
}

const audienceOfWorld = "https://api.example"

func ptr(m map[string]any) *map[string]any { return &m }

// If the function fails, panics, or returns claims that are too long or not JSON, the response is
// 503 and nothing is issued or used up.
func TestAccessClaimsThatFail(t *testing.T) {
	var result func() (map[string]any, error)
	good := func() (map[string]any, error) { return map[string]any{"tenant": "t-1"}, nil }
	p := oauthtest.NewProvider(t, memory.New(nil), jose.EdDSA, func(o *oauthtest.Options) {
		o.SignedAccess = true
		o.AccessClaims = func(context.Context, server.AccessGrant) (map[string]any, error) { return result() }
	})
	w := p.World
	for what, bad := range map[string]func() (map[string]any, error){
		"error":    func() (map[string]any, error) { return map[string]any{"tenant": "t-1"}, errors.New("directory down") },
		"panic":    func() (map[string]any, error) { panic("secret-in-panic") },
		"too long": func() (map[string]any, error) { return map[string]any{"x": strings.Repeat("x", 4<<10)}, nil },
		"no JSON":  func() (map[string]any, error) { return map[string]any{"x": func() {}}, nil },
	} {
		t.Run(what, func(t *testing.T) {
			result = good
			first := w.Exchange("app", w.Code("app", nil))
			code := w.Code("app", nil)
			result = bad
			for name, r := range map[string]oauthtest.Reply{
				"code": w.Exchange("app", code), "refresh": w.Refreshes("app", first.Refresh),
				"client credentials": w.Post(w.Token(), "app", "grant_type", "client_credentials"),
				"introspection":      w.Post(w.Introspect(), "api", "token", first.Access),
			} {
				if r.Status != 503 || r.Access != "" || r.Active || r.Header.Get("Retry-After") == "" {
					t.Errorf("%s: %d %s", name, r.Status, r.Body)
				}
			}
			if w.Status(first.Access) != 200 {
				t.Error("the API needs no claims")
			}
			result = good
			if r := w.Exchange("app", code); r.Status != 200 {
				t.Errorf("code afterwards: %s", r.Body)
			}
			if r := w.Refreshes("app", first.Refresh); r.Status != 200 {
				t.Errorf("refresh afterwards: %s", r.Body)
			}
			if strings.Contains(w.Log.String(), "secret-in-panic") {
				t.Error("the text of the panic is in the log")
			}
		})
	}
}

// The function runs outside transactions, so it can read the store.
func TestAccessClaimsReadTheStore(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		p := oauthtest.NewProvider(t, s, jose.EdDSA, func(o *oauthtest.Options) {
			o.SignedAccess = true
			o.AccessClaims = func(ctx context.Context, a server.AccessGrant) (map[string]any, error) {
				ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
				defer cancel()
				u, err := s.UserByID(ctx, a.User.ID)
				if err == nil {
					_, err = s.BumpEpoch(ctx, "id-bob") // a write, which a transaction of the caller would block
				}
				return map[string]any{"name": u.Name}, err
			}
		})
		oauthtest.Must(t, s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
		got := p.Exchange("app", p.Code("app", nil))
		if got.Status != 200 || p.ClaimsOf(got.Access, oauth2.TypeAccess)["name"] != "alice" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}
