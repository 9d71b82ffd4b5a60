package server_test

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// What is cheap is checked first: a proof's signature is verified, and its use noted, when the
// client and the grant were found. So a proof is not used up by a request without a grant, and
// a bad signature is not what such a request is refused for.
func TestCheapChecksFirst(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewDevices(t, s, func(o *oauthtest.Options) { o.DPoP = &oauthtest.DPoP{} })
		p := w.NewProver()
		var begun oauthtest.Begun
		begin := w.Post(w.DeviceAuthorization(), "", "client_id", "tv")
		oauthtest.Must(t, json.Unmarshal([]byte(begin.Body), &begun))
		pair := p.Exchange("spa", w.Code("spa", nil))
		old := p.Exchange("spa", w.Code("spa", nil))
		w.Post(w.Revoke(), "spa", "token", old.Refresh)
		used := w.Code("spa", nil)
		p.Exchange("spa", used)

		for what, x := range map[string]struct {
			client string
			pairs  []string
			want   string
		}{
			"unknown client":   {"", []string{"client_id", "nobody", "grant_type", "authorization_code", "code", guess("vac")}, "invalid_client"},
			"wrong secret":     {"", []string{"client_id", "other", "client_secret", "x", "grant_type", "authorization_code", "code", guess("vac")}, "invalid_client"},
			"no grant type":    {"spa", nil, "invalid_request"},
			"unknown type":     {"spa", []string{"grant_type", "x"}, "unsupported_grant_type"},
			"not its type":     {"spa", []string{"grant_type", "client_credentials"}, "unauthorized_client"},
			"no code":          {"spa", []string{"grant_type", "authorization_code"}, "invalid_request"},
			"malformed code":   {"spa", []string{"grant_type", "authorization_code", "code", "x"}, "invalid_grant"},
			"unknown code":     {"spa", []string{"grant_type", "authorization_code", "code", guess("vac"), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier}, "invalid_grant"},
			"another's code":   {"spa", []string{"grant_type", "authorization_code", "code", w.Code("app", nil), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier}, "invalid_grant"},
			"used code":        {"spa", []string{"grant_type", "authorization_code", "code", used, "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier}, "invalid_grant"},
			"unknown refresh":  {"spa", []string{"grant_type", "refresh_token", "refresh_token", guess("vor")}, "invalid_grant"},
			"another's":        {"other", []string{"grant_type", "refresh_token", "refresh_token", pair.Refresh}, "invalid_grant"},
			"ended refresh":    {"spa", []string{"grant_type", "refresh_token", "refresh_token", old.Refresh}, "invalid_grant"},
			"unknown device":   {"tv", []string{"grant_type", oauth2.DeviceCode, "device_code", guess("vdc")}, "invalid_grant"},
			"undecided device": {"tv", []string{"grant_type", oauth2.DeviceCode, "device_code", begun.Device}, "authorization_pending"},
		} {
			t.Run("edge_A12/"+what, func(t *testing.T) {
				pairs, client := x.pairs, x.client
				if client == "tv" {
					pairs, client = append(pairs, "client_id", "tv"), ""
				}
				good := p.Proof("POST", oauthtest.TokenURL, nil)
				bad := good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 86)
				if what == "undecided device" {
					bad = good // a second poll comes too early
				} else if got := w.PostWith(w.Token(), client, []string{bad}, pairs...); got.Error != x.want {
					t.Errorf("with a bad signature: %s, want %s", got.Body, x.want)
				}
				if got := w.PostWith(w.Token(), client, []string{good}, pairs...); got.Error != x.want {
					t.Errorf("%s, want %s", got.Body, x.want)
				}
				// Nothing was noted: the proof is still good for its one use.
				got := w.PostWith(w.Token(), "spa", []string{good}, "grant_type", "authorization_code", "code", w.Code("spa", nil), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier)
				if got.Status != 200 || got.Type != "DPoP" {
					t.Errorf("the proof was used up: %s", got.Body)
				}
			})
		}
		t.Run("edge_A12/a bad signature uses up no code", func(t *testing.T) {
			code := w.Code("spa", nil)
			good := p.Proof("POST", oauthtest.TokenURL, nil)
			bad := good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 86)
			form := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier}
			if got := w.PostWith(w.Token(), "spa", []string{bad}, form...); got.Error != "invalid_dpop_proof" {
				t.Errorf("%s", got.Body)
			}
			// A key that is only claimed ends no grant and claims no token.
			other := w.NewProver()
			other.JWK = p.JWK
			if got := other.Refreshes("spa", pair.Refresh); got.Error != "invalid_dpop_proof" {
				t.Errorf("a claimed key: %s", got.Body)
			}
			if got := w.PostWith(w.Token(), "spa", []string{good}, form...); got.Status != 200 {
				t.Errorf("%s", got.Body)
			}
			if got := p.Refreshes("spa", pair.Refresh); got.Status != 200 {
				t.Errorf("%s", got.Body)
			}
			if got := other.Refreshes("spa", pair.Refresh); got.Error != "invalid_dpop_proof" {
				t.Errorf("a claimed key and a used token: %s", got.Body)
			}
		})
		t.Run("edge_A12/API", func(t *testing.T) {
			for what, token := range map[string]string{"unknown": guess("vat"), "another key's": pair.Access} {
				q := p
				if what == "another key's" {
					q = w.NewProver()
				}
				good := q.At(token, nil)
				for range 2 { // the second is no use of a noted proof
					if rec := w.Calls("DPoP", token, good); rec.Code != 401 || strings.Contains(w.Log.String(), `reason="used before"`) {
						t.Errorf("%s: %d", what, rec.Code)
					}
				}
			}
		})
	})
}

// guess is a text of a token's shape that nobody was given.
func guess(prefix string) string {
	var body [credential.Size]byte
	_, _ = rand.Read(body[:])
	return credential.MustFormat(prefix).Encode(body)
}
