package server_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// fapi is a server with Options.FAPI2 and two clients that fit it, "one" and "two".
type fapi struct {
	*oauthtest.World
	rings map[string]*jose.KeySet
}

func newFAPI(t *testing.T, s oauthtest.Store, change func(*oauthtest.Options)) *fapi {
	t.Helper()
	f := &fapi{rings: map[string]*jose.KeySet{}}
	f.World = oauthtest.NewWorld(t, s, func(o *oauthtest.Options) {
		oauthtest.WithSessions(o)
		oauthtest.WithDPoP(o)
		o.FAPI2, o.Grace = true, -1
		if change != nil {
			change(o)
		}
	})
	for _, id := range []string{"one", "two"} {
		f.rings[id] = oauthtest.RingOf(t, id, jose.EdDSA, oauthtest.Ed25519Key(t))
		c := storage.Client{ID: id, Method: oauth2.PrivateKeyJWT, Keys: oauthtest.PublicSet(t, f.rings[id]), RedirectURIs: []string{oauthtest.Redirect},
			Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"}}
		oauthtest.Must(t, f.DB.CreateClient(t.Context(), c))
	}
	return f
}

// by returns the parameters that authenticate a client.
func (f *fapi) by(client string) []string {
	return []string{"client_assertion_type", oauthtest.AssertionType, "client_assertion", f.Assertion(f.rings[client], "JWT", client, nil)}
}

// form returns the parameters of a good request of a client, without the client.
func requestForm(pairs ...string) (list []string) {
	v, _ := url.ParseQuery(oauthtest.Query("x", append([]string{"client_id", "", "scope", "read"}, pairs...)...))
	for name := range v {
		list = append(list, name, v.Get(name))
	}
	return list
}

// pushes pushes a request and returns the reply with its URI.
func (f *fapi) pushes(client string, pairs ...string) (oauthtest.Reply, string) {
	f.T.Helper()
	got := f.Post(f.PushedAuthorization(), "", append(requestForm(pairs...), f.by(client)...)...)
	var answer struct {
		URI string `json:"request_uri"`
	}
	_ = json.Unmarshal([]byte(got.Body), &answer)
	return got, url.Values{"client_id": {client}, "request_uri": {answer.URI}}.Encode()
}

func (f *fapi) decides(query, decision string) *httptest.ResponseRecorder {
	f.T.Helper()
	handle := oauthtest.HandleOf(f.T, f.Authorizes(f.Alice("s"), "GET", query, ""))
	return f.Authorizes(f.Alice("s"), "POST", "", "decision="+decision+"&handle="+url.QueryEscape(handle))
}

// tokens posts to the token endpoint with a proof, unless key is nil.
func (f *fapi) tokens(client string, key *oauthtest.Prover, pairs ...string) oauthtest.Reply {
	f.T.Helper()
	var proofs []string
	if key != nil {
		proofs = []string{key.Proof("POST", oauthtest.TokenURL, nil)}
	}
	return f.PostWith(f.Token(), "", proofs, append(f.by(client), pairs...)...)
}

func (f *fapi) login(client string, key *oauthtest.Prover) oauthtest.Reply {
	f.T.Helper()
	_, query := f.pushes(client)
	v := oauthtest.Sent(f.T, f.decides(query, "allow"), oauthtest.Redirect)
	got := f.tokens(client, key, "grant_type", "authorization_code", "code", v.Get("code"), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier)
	if got.Status != 200 {
		f.T.Fatalf("%d %s", got.Status, got.Body)
	}
	return got
}

// The modules of the FAPI 2.0 plan that the option decides.
func TestFAPI2(t *testing.T) {
	f := newFAPI(t, memory.New(nil), nil)
	t.Run("P31/ensure-unsigned-authorization-request-without-using-par-fails", func(t *testing.T) {
		v := oauthtest.Sent(t, f.Authorizes(f.Alice("s"), "GET", oauthtest.Query("one"), ""), oauthtest.Redirect)
		if v.Get("error") != "invalid_request" || v.Get("code") != "" || v.Get("iss") != oauthtest.Issuer {
			t.Errorf("%v", v)
		}
		if rec := f.Authorizes(f.Alice("s"), "GET", oauthtest.Query("one", "redirect_uri", "https://evil.example/"), ""); rec.Code != 400 || rec.Header().Get("Location") != "" {
			t.Errorf("an unregistered URI: %d %v", rec.Code, rec.Header())
		}
	})
	t.Run("P32/ensure-request-object-without-redirect-uri-fails", func(t *testing.T) {
		if got, _ := f.pushes("one", "redirect_uri", ""); got.Status != 400 || got.Error != "invalid_request" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("P36/ensure-pkce-code-verifier-required", func(t *testing.T) {
		_, query := f.pushes("one")
		v := oauthtest.Sent(t, f.decides(query, "allow"), oauthtest.Redirect)
		key := f.NewProver()
		pairs := []string{"grant_type", "authorization_code", "code", v.Get("code"), "redirect_uri", oauthtest.Redirect}
		if got := f.tokens("one", key, pairs...); got.Status != 400 || got.Error != "invalid_grant" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		if got := f.tokens("one", key, append(pairs, "code_verifier", oauthtest.Verifier)...); got.Status != 200 {
			t.Errorf("the code was burnt: %d %s", got.Status, got.Body)
		}
	})
	t.Run("ensure-holder-of-key-required", func(t *testing.T) {
		_, query := f.pushes("one")
		v := oauthtest.Sent(t, f.decides(query, "allow"), oauthtest.Redirect)
		if got := f.tokens("one", nil, "grant_type", "authorization_code", "code", v.Get("code"), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier); got.Error != "invalid_dpop_proof" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("only private_key_jwt", func(t *testing.T) {
		for _, client := range []string{"app", "spa", "other"} {
			if got := f.Post(f.PushedAuthorization(), client, requestForm()...); got.Status != 401 || got.Error != "invalid_client" {
				t.Errorf("%s: %d %s", client, got.Status, got.Body)
			}
		}
	})
	t.Run("ensure-signed-client-assertion-with-RS256-fails", func(t *testing.T) {
		key, err := jose.Generate(jose.RS256)
		oauthtest.Must(t, err)
		ring, err := jose.NewKeySet(key)
		oauthtest.Must(t, err)
		c := storage.Client{ID: "rsa", Method: oauth2.PrivateKeyJWT, Keys: oauthtest.PublicSet(t, ring), RedirectURIs: []string{oauthtest.Redirect}, Grants: []string{oauth2.AuthorizationCode}, Scopes: []string{"read"}}
		oauthtest.Must(t, f.DB.CreateClient(t.Context(), c))
		f.rings["rsa"] = ring
		if got, _ := f.pushes("rsa"); got.Status != 401 || got.Error != "invalid_client" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("discovery", func(t *testing.T) {
		m := f.Send(f.Metadata(), httptest.NewRequest("GET", "/", nil), "").Body
		for _, want := range []string{`"require_pushed_authorization_requests":true`, `"token_endpoint_auth_methods_supported":["private_key_jwt"]`} {
			if !strings.Contains(m, want) {
				t.Errorf("without %s: %s", want, m)
			}
		}
		if strings.Contains(m, "RS256") {
			t.Error(m)
		}
	})
}

// P34: the refresh token of a client with keys, bound by proofs, is not rotated. Everything that
// makes that safe is demanded at every use.
func TestNoRotation_P34(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		f := newFAPI(t, s, func(o *oauthtest.Options) { o.RefreshTTL, o.AbsoluteTTL = time.Hour, 2*time.Hour })
		refresh := func(client string, key *oauthtest.Prover, token string) oauthtest.Reply {
			return f.tokens(client, key, "grant_type", "refresh_token", "refresh_token", token)
		}
		first := f.login("one", f.NewProver())
		for range 3 {
			f.Pass(time.Minute)
			key := f.NewProver() // a new key each time, as the conformance suite does
			got := refresh("one", key, first.Refresh)
			if got.Status != 200 || got.Refresh != first.Refresh || got.Type != "DPoP" || got.Access == first.Access {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			if rec := f.Calls("DPoP", got.Access, key.At(got.Access, nil)); rec.Code != 200 {
				t.Errorf("the API: %d", rec.Code)
			}
		}
		if got := refresh("two", f.NewProver(), first.Refresh); got.Error != "invalid_grant" {
			t.Errorf("another client: %s", got.Body)
		}
		if got := refresh("one", nil, first.Refresh); got.Status != 400 {
			t.Errorf("without a proof: %d %s", got.Status, got.Body)
		}
		if got := f.PostWith(f.Token(), "", []string{f.NewProver().Proof("POST", oauthtest.TokenURL, nil)}, "client_id", "one", "grant_type", "refresh_token", "refresh_token", first.Refresh); got.Error != "invalid_client" {
			t.Errorf("without an assertion: %s", got.Body)
		}
		if got := refresh("one", f.NewProver(), first.Refresh); got.Status != 200 {
			t.Errorf("what was refused harmed the grant: %s", got.Body)
		}
		if got := f.Post(f.Revoke(), "", append(f.by("one"), "token", first.Refresh)...); got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if got := refresh("one", f.NewProver(), first.Refresh); got.Error != "invalid_grant" {
			t.Errorf("revoked: %s", got.Body)
		}
		second := f.login("one", f.NewProver())
		f.Pass(time.Hour + time.Second)
		if got := refresh("one", f.NewProver(), second.Refresh); got.Error != "invalid_grant" {
			t.Errorf("expired: %s", got.Body)
		}
		third := f.login("one", f.NewProver())
		f.rings["one"] = oauthtest.RingOf(t, "new", jose.EdDSA, oauthtest.Ed25519Key(t))
		oauthtest.Must(t, storage.ChangeClient(t.Context(), f.DB, "one", func(c *storage.Client) error {
			c.Keys = oauthtest.PublicSet(t, f.rings["one"])
			return nil
		}))
		key := f.NewProver()
		if got := refresh("one", key, third.Refresh); got.Error != "invalid_grant" {
			t.Errorf("registered anew: %s", got.Body)
		}
		if rec := f.Calls("DPoP", third.Access, key.At(third.Access, nil)); rec.Code != 401 {
			t.Errorf("the grant lives on: %d", rec.Code)
		}
	})
}

// P34: all others rotate.
func TestOthersRotate_P34(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { oauthtest.WithDPoP(o) })
	p := w.NewProver()
	got := p.Exchange("spa", w.Code("spa", nil))
	if next := p.Refreshes("spa", got.Refresh); next.Status != 200 || next.Refresh == got.Refresh || next.Refresh == "" {
		t.Errorf("%s", next.Body)
	}
}

// P35: a pushed request is used up by the decision.
func TestSpentAtTheDecision_P35(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		f := newFAPI(t, s, nil)
		_, query := f.pushes("one")
		page := func() string { return oauthtest.HandleOf(t, f.Authorizes(f.Alice("s"), "GET", query, "")) }
		answers := func(handle, decision string) *httptest.ResponseRecorder {
			return f.Authorizes(f.Alice("s"), "POST", "", "decision="+decision+"&handle="+url.QueryEscape(handle))
		}
		one, two := page(), page()
		f.Pass(5 * time.Minute) // the request has expired, its pages have not
		if v := oauthtest.Sent(t, answers(two, "allow"), oauthtest.Redirect); v.Get("code") == "" {
			t.Errorf("%v", v)
		}
		for _, decision := range []string{"allow", "deny"} {
			if rec := answers(one, decision); rec.Code != 400 || rec.Header().Get("Location") != "" {
				t.Errorf("the other page, %s: %d %v", decision, rec.Code, rec.Header())
			}
		}
		for _, decision := range []string{"allow", "deny"} {
			_, query = f.pushes("one")
			if rec := answers(page(), decision); rec.Code != 303 {
				t.Fatalf("%d", rec.Code)
			}
			if rec := f.Authorizes(f.Alice("s"), "GET", query, ""); rec.Code != 400 || !strings.Contains(rec.Body.String(), "invalid_request_uri") {
				t.Errorf("after %s: %d %s", decision, rec.Code, rec.Body)
			}
		}
		_, query = f.pushes("one")
		handles := make([]string, 64)
		for i := range handles {
			handles[i] = page()
		}
		if counts := oauthtest.Together(func(i int) int { return answers(handles[i], "allow").Code }); counts[303] != 1 || counts[400] != 63 {
			t.Errorf("%v", counts)
		}
	})
}

// One client can be limited to pushed requests.
func TestClientMustPush(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	oauthtest.Must(t, storage.ChangeClient(t.Context(), w.DB, "app", func(c *storage.Client) error {
		c.RequirePushed = true
		return nil
	}))
	if v := oauthtest.Sent(t, w.Authorizes(w.Alice("s"), "GET", oauthtest.Query("app"), ""), oauthtest.Redirect); v.Get("error") != "invalid_request" {
		t.Errorf("%v", v)
	}
	oauthtest.HandleOf(t, w.Authorizes(w.Alice("s"), "GET", w.Pushed(), ""))
	oauthtest.HandleOf(t, w.Authorizes(w.Alice("s"), "GET", oauthtest.Query("other"), ""))
}

// A client's lifetimes shorten those of the server, and never lengthen them.
func TestLifetimesOfAClient(t *testing.T) {
	for _, x := range []struct{ access, refresh, absolute, wantAccess, wantRefresh, wantAbsolute time.Duration }{
		{time.Minute, 10 * time.Minute, 15 * time.Minute, time.Minute, 10 * time.Minute, 15 * time.Minute},
		{24 * time.Hour, 999 * time.Hour, 999 * time.Hour, time.Hour, 2 * time.Hour, 3 * time.Hour},
	} {
		w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { o.RefreshTTL, o.AbsoluteTTL = 2*time.Hour, 3*time.Hour })
		oauthtest.Must(t, storage.ChangeClient(t.Context(), w.DB, "app", func(c *storage.Client) error {
			c.AccessTTL, c.RefreshTTL, c.AbsoluteTTL = x.access, x.refresh, x.absolute
			return nil
		}))
		got := w.Exchange("app", w.Code("app", nil))
		if got.Expires != int(x.wantAccess.Seconds()) {
			t.Errorf("access %d", got.Expires)
		}
		old := w.Exchange("app", w.Code("app", nil))
		w.Pass(x.wantRefresh - time.Second)
		if got = w.Refreshes("app", got.Refresh); got.Status != 200 {
			t.Errorf("idle: %s", got.Body)
		}
		w.Pass(2 * time.Second)
		if late := w.Refreshes("app", old.Refresh); late.Error != "invalid_grant" {
			t.Errorf("too late: %s", late.Body)
		}
		w.Pass(x.wantAbsolute - x.wantRefresh)
		if late := w.Refreshes("app", got.Refresh); late.Error != "invalid_grant" {
			t.Errorf("absolute: %s", late.Body)
		}
		own := w.Post(w.Token(), "app", "grant_type", "client_credentials")
		if own.Expires != int(x.wantAccess.Seconds()) {
			t.Errorf("own access %d", own.Expires)
		}
	}
}
