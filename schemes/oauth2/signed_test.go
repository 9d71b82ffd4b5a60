package oauth2_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func signing(o *oauthtest.Options) { o.SignedAccess = true }

func TestSignedAccess(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		p := oauthtest.NewProvider(t, s, jose.EdDSA, signing)
		got := p.Exchange("app", p.Code("app", func(c *storage.Code) { c.Resource = []string{"https://api.example", "https://files.example"} }))
		c := p.ClaimsOf(got.Access, "at+jwt")
		for name, want := range map[string]any{
			"iss": oauthtest.Issuer, "sub": "id-alice", "client_id": "app", "scope": "read", "aud": []any{"https://api.example", "https://files.example"},
			"iat": float64(oauthtest.Born.Unix()), "exp": float64(oauthtest.Born.Add(time.Hour).Unix()), "auth_time": float64(oauthtest.Born.Unix()),
		} {
			if fmt.Sprint(c[name]) != fmt.Sprint(want) {
				t.Errorf("%s is %v, want %v", name, c[name], want)
			}
		}
		id, err := p.Identity(got.Access)
		if err != nil || id.Subject != "id-alice" || id.Client != "app" || fmt.Sprint(id.Scopes) != "[read]" || id.Roles != nil || !id.Expires.Equal(oauthtest.Born.Add(time.Hour).Truncate(time.Second)) {
			t.Errorf("%+v, %v", id, err)
		}
		own := p.Post(p.Token(), "app", "grant_type", "client_credentials")
		if c := p.ClaimsOf(own.Access, "at+jwt"); c["sub"] != "app" || c["sid"] != nil || fmt.Sprint(c["aud"]) != "[https://api.example]" {
			t.Errorf("a client's own: %v", c)
		}
		if id, err := p.Identity(own.Access); err != nil || id.Subject != "" || id.Client != "app" {
			t.Errorf("%+v, %v", id, err)
		}
		if r := p.Post(p.Introspect(), "api", "token", got.Access); !r.Active || !strings.Contains(r.Body, `"sub":"id-alice"`) {
			t.Errorf("introspection: %s", r.Body)
		}
		elsewhere := p.Exchange("app", p.Code("app", func(c *storage.Code) { c.Resource = []string{"https://files.example"} }))
		if p.Status(elsewhere.Access) != 401 {
			t.Error("a token for another resource is taken")
		}
		if r := p.Post(p.Introspect(), "api", "token", elsewhere.Access); r.Active {
			t.Error("it is shown to another resource")
		}
		p.Pass(time.Hour)
		if p.Status(got.Access) != 401 {
			t.Error("it never expires")
		}
	})
}

func TestSignedEnds(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		p := oauthtest.NewProvider(t, s, jose.ES256, signing)
		give := func() (string, string, string) {
			got := p.Exchange("app", p.Code("app", nil))
			return got.Access, got.Refresh, p.Post(p.Token(), "app", "grant_type", "client_credentials").Access
		}
		t.Run("attack_177_revoked", func(t *testing.T) {
			access, refresh, own := give()
			other, _, _ := give()
			if r := p.Post(p.Revoke(), "spa", "token", own); r.Status != 200 || p.Status(own) != 200 {
				t.Errorf("another client's: %d, then %d", r.Status, p.Status(own))
			}
			if r := p.Post(p.Revoke(), "app", "token", own); r.Status != 200 || p.Status(own) != 401 {
				t.Errorf("a client's own: %d, then %d", r.Status, p.Status(own))
			}
			if r := p.Post(p.Introspect(), "app", "token", own); r.Active {
				t.Error("introspection shows it")
			}
			if r := p.Post(p.Revoke(), "app", "token", access); r.Status != 200 || p.Status(access) != 401 || p.Refreshes("app", refresh).Status != 400 {
				t.Errorf("a user's: %d, then %d", r.Status, p.Status(access))
			}
			if p.Status(other) != 200 {
				t.Error("another grant ended too")
			}
			n, err := s.(storage.Pruner).Prune(t.Context(), p.Clock(), 100)
			if err != nil || p.Status(own) != 401 || p.Status(access) != 401 {
				t.Errorf("pruned %d, %v: the entry was forgotten before the token's end", n, err)
			}
		})
		t.Run("attack_090_epoch", func(t *testing.T) {
			before, _, own := give()
			_, err := p.DB.BumpEpoch(t.Context(), "id-alice")
			oauthtest.Must(t, err)
			after, _, _ := give() // in the same second
			if p.Status(before) != 401 || p.Status(after) != 200 || p.Status(own) != 200 {
				t.Errorf("%d, %d, %d", p.Status(before), p.Status(after), p.Status(own))
			}
		})
		t.Run("attack_379_client_disabled", func(t *testing.T) {
			access, refresh, own := give()
			c, err := p.DB.ClientByID(t.Context(), "app")
			oauthtest.Must(t, err)
			c.Disabled = true
			oauthtest.Must(t, p.DB.UpdateClient(t.Context(), c))
			if p.Status(access) != 401 || p.Status(own) != 401 {
				t.Error("a disabled client acts on")
			}
			c.Disabled = false
			oauthtest.Must(t, p.DB.UpdateClient(t.Context(), c))
			if a, b, r := p.Status(access), p.Status(own), p.Refreshes("app", refresh).Status; a != 401 || b != 401 || r != 400 {
				t.Errorf("enabled again: %d for a user's token, %d for the client's own, %d for the refresh token", a, b, r)
			}
			if r := p.Post(p.Introspect(), "app", "token", own); r.Active {
				t.Error("introspection shows it")
			}
			if access, refresh, own := give(); p.Status(access) != 200 || p.Status(own) != 200 || p.Refreshes("app", refresh).Status != 200 {
				t.Error("a client that was enabled again has no tokens")
			}
		})
		t.Run("code_reused", func(t *testing.T) {
			code := p.Code("app", nil)
			got := p.Exchange("app", code)
			if p.Exchange("app", code).Status != 400 || p.Status(got.Access) != 401 {
				t.Error("what came of the code lives on")
			}
		})
		t.Run("account_disabled", func(t *testing.T) {
			access, _, _ := give()
			oauthtest.Must(t, p.DB.SetActive(t.Context(), "id-alice", false))
			if p.Status(access) != 401 {
				t.Error("a disabled account acts on")
			}
		})
	})
}

// TestSignedRefused changes one thing after another of a good token, signed by the server's
// own key where it matters.
func TestSignedRefused(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, signing)
	got := p.Exchange("app", p.Code("app", nil))
	good := p.ClaimsOf(got.Access, "at+jwt")
	mint := func(typ string, ring *jose.KeySet, change map[string]any) string {
		c := maps.Clone(good)
		for name, value := range change {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}
		text, err := json.Marshal(c)
		oauthtest.Must(t, err)
		token, err := ring.Sign(t.Context(), typ, text)
		oauthtest.Must(t, err)
		return token
	}
	if p.Status(mint("at+jwt", p.Keys.KeySet, nil)) != 200 || p.Status(mint("application/AT+JWT", p.Keys.KeySet, nil)) != 200 {
		t.Fatal("the unchanged token is refused")
	}
	for name, token := range map[string]string{
		"attack_061_type":        mint("JWT", p.Keys.KeySet, nil),
		"attack_061_no_type":     mint("", p.Keys.KeySet, nil),
		"attack_057_other_key":   mint("at+jwt", oauthtest.FreshRing(t, jose.ES256), nil),
		"attack_074_no_exp":      mint("at+jwt", p.Keys.KeySet, map[string]any{"exp": nil}),
		"attack_074_exp":         mint("at+jwt", p.Keys.KeySet, map[string]any{"exp": "9999999999"}),
		"attack_076_nbf":         mint("at+jwt", p.Keys.KeySet, map[string]any{"nbf": oauthtest.Born.Add(time.Hour).Unix()}),
		"attack_078_aud":         mint("at+jwt", p.Keys.KeySet, map[string]any{"aud": "https://API.example"}),
		"attack_078_no_aud":      mint("at+jwt", p.Keys.KeySet, map[string]any{"aud": nil}),
		"attack_079_iss":         mint("at+jwt", p.Keys.KeySet, map[string]any{"iss": oauthtest.Issuer + "/"}),
		"attack_080_no_sub":      mint("at+jwt", p.Keys.KeySet, map[string]any{"sub": nil}),
		"attack_081_scope":       mint("at+jwt", p.Keys.KeySet, map[string]any{"scope": []string{"read"}}),
		"attack_081_scope_blank": mint("at+jwt", p.Keys.KeySet, map[string]any{"scope": "read  write"}),
		"attack_086_no_jti":      mint("at+jwt", p.Keys.KeySet, map[string]any{"jti": nil}),
		"attack_088_bound":       mint("at+jwt", p.Keys.KeySet, map[string]any{"cnf": map[string]any{"jkt": "x"}}),
		"attack_088_bound_other": mint("at+jwt", p.Keys.KeySet, map[string]any{"cnf": map[string]any{"x5t#S256": "x"}}),
		"no_client":              mint("at+jwt", p.Keys.KeySet, map[string]any{"client_id": nil}),
		"other_client":           mint("at+jwt", p.Keys.KeySet, map[string]any{"client_id": "nobody"}),
		"ver":                    mint("at+jwt", p.Keys.KeySet, map[string]any{"ver": "x"}),
		"old_ver":                mint("at+jwt", p.Keys.KeySet, map[string]any{"ver": 7}),
		"other_family":           mint("at+jwt", p.Keys.KeySet, map[string]any{"sid": "x"}),
		"auth_time":              mint("at+jwt", p.Keys.KeySet, map[string]any{"auth_time": "x"}),
		"attack_069_parts":       got.Access + ".x",
	} {
		t.Run(name, func(t *testing.T) {
			if got := p.Status(token); got != 401 {
				t.Errorf("%d", got)
			}
		})
	}
	t.Run("no_user_by_another_name", func(t *testing.T) { // a user whose family is taken out is no user
		if id, err := p.Identity(mint("at+jwt", p.Keys.KeySet, map[string]any{"sid": nil})); err == nil && id.Subject != "" {
			t.Errorf("%+v", id)
		}
	})
	t.Run("attack_084_access_for_refresh", func(t *testing.T) {
		if r := p.Refreshes("app", got.Access); r.Status != 400 || r.Error != "invalid_grant" {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	})
	t.Run("keys_down", func(t *testing.T) {
		p.Keys.Down = true
		if got := p.Status(got.Access); got != 503 {
			t.Errorf("%d", got)
		}
		p.Keys.Down = false
	})
	t.Run("user_named_as_client", func(t *testing.T) { // the spaces of users and clients do not meet
		oauthtest.Must(t, p.DB.CreateUser(t.Context(), storage.User{ID: "app", Name: "app", Active: true}))
		if r := p.Exchange("app", p.Code("app", func(c *storage.Code) { c.Subject, c.Epoch = "app", 0 })); r.Status == 200 {
			t.Errorf("a user passes for a client: %s", r.Body)
		}
	})
}

func TestSigningOptions(t *testing.T) {
	for name, change := range map[string]func(*oauthtest.Options){
		"openid without keys": func(o *oauthtest.Options) { o.OpenID = &oauthtest.OpenID{} },
		"signed without keys": func(o *oauthtest.Options) { o.SignedAccess = true },
		"signed for nobody": func(o *oauthtest.Options) {
			o.SignedAccess, o.SigningKeys, o.Audience = true, oauthtest.FreshRing(t, jose.ES256), ""
		},
		"ID tokens of no length": func(o *oauthtest.Options) {
			o.OpenID, o.SigningKeys = &oauthtest.OpenID{TTL: -1}, oauthtest.FreshRing(t, jose.ES256)
		},
	} {
		o := oauthtest.Options{Audience: "https://api.example"}
		change(&o)
		if _, err := oauthtest.New(oauthtest.Issuer, memory.New(nil), &o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
