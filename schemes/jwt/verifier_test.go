package jwt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const idp = "https://idp.example"

func foreign(t testing.TB, ring *jose.KeySet, change map[string]any) string {
	t.Helper()
	c := map[string]any{"iss": idp, "aud": audience, "sub": "user-7", "jti": "j", "client_id": "app", "exp": 1_800_000_300, "iat": 1_800_000_000, "scope": "notes:read", "roles": []string{"admin"}}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	text, err := json.Marshal(c)
	schemetest.Must(t, err)
	token, err := ring.Sign(t.Context(), "at+jwt", text)
	schemetest.Must(t, err)
	return token
}

// Tokens of another issuer, in one chain with our own.
func TestVerifier(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	ring := ringOf(t, jose.EdDSA)
	blocklist := memory.New(nil)
	v, err := jwt.NewVerifier(idp, audience, ring, &jwt.VerifierOptions{Name: "idp", Clock: w.clock.Now, Blocklist: blocklist})
	schemetest.Must(t, err)
	for _, chain := range []authn.Chain{{w.Scheme, v}, {v, w.Scheme}} {
		id, err := chain.Authenticate(bearer(foreign(t, ring, nil)))
		schemetest.Must(t, err)
		if id.Subject != "user-7" || id.Issuer != idp || id.Client != "app" || id.Scheme != "idp" || fmt.Sprint(id.Scopes) != "[notes:read]" || id.Roles != nil || id.User != nil {
			t.Errorf("%+v", id)
		}
		if id, err := chain.Authenticate(bearer(w.issue(t).Access)); err != nil || id.Scheme != "jwt" || id.Issuer != "" {
			t.Errorf("%+v, %v", id, err)
		}
		for what, token := range map[string]string{
			"a third issuer": foreign(t, ring, map[string]any{"iss": "https://x.example"}), "ours by their key": foreign(t, ring, map[string]any{"iss": issuer, "ver": 0}),
			"theirs by our key": foreign(t, w.ring, nil), "no issuer": foreign(t, ring, map[string]any{"iss": nil}),
		} {
			if got := statusOf(chain, token); got != 401 {
				t.Errorf("%s: %d", what, got)
			}
		}
	}
	id, err := v.Authenticate(bearer(foreign(t, ring, map[string]any{"sub": "app", "scope": nil})))
	if err != nil || id.Subject != "" || id.Client != "app" || id.Scopes == nil || len(id.Scopes) != 0 {
		t.Errorf("a client without a user: %+v, %v", id, err)
	}
	schemetest.Must(t, blocklist.Block(t.Context(), w.clock.Now().Add(time.Hour), storage.BlockKeyOf(storage.BlockJTI, idp, "j")))
	if got := statusOf(v, foreign(t, ring, nil)); got != 401 {
		t.Errorf("blocked: %d", got)
	}
	roles, err := jwt.NewVerifier(idp, audience, ring, &jwt.VerifierOptions{Clock: w.clock.Now, Roles: []string{"roles"}, CacheEntries: -1, FirstParty: true})
	schemetest.Must(t, err)
	if id, err := roles.Authenticate(bearer(foreign(t, ring, map[string]any{"client_id": nil, "scope": nil}))); err != nil || fmt.Sprint(id.Roles) != "[admin]" || id.Scopes != nil {
		t.Errorf("%+v, %v", id, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("two schemes of one issuer in one chain")
		}
	}()
	authn.New(authn.Chain{v, roles}, nil)
}

// Removing a key invalidates the cached tokens.
func TestCacheAndRotation(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	master, err := keys.NewRing(keys.Generate())
	schemetest.Must(t, err)
	stored, err := jwt.NewStoredKeys(memory.New(nil), master, issuer, &jwt.KeyOptions{Clock: w.clock.Now})
	schemetest.Must(t, err)
	if _, err := stored.JWKS(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := memory.New(nil)
	if stored, err = jwt.NewStoredKeys(s, master, issuer, &jwt.KeyOptions{Clock: w.clock.Now}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the first one's key
		schemetest.Must(t, stored.Ensure(t.Context()))
	}
	list, err := stored.List(t.Context())
	if err != nil || len(list) != 1 || strings.Contains(fmt.Sprintf("%v %+v %#v", list, list, list), string(list[0].Sealed)) {
		t.Fatalf("%d keys, %v", len(list), err)
	}
	x, err := jwt.New(issuer, audience, stored, w.store, &jwt.Options{Clock: w.clock.Now, AccessTTL: 100 * time.Hour, RefreshTTL: 100 * time.Hour})
	schemetest.Must(t, err)
	p, err := x.Issue(t.Context(), "id-alice", 0, nil)
	schemetest.Must(t, err)
	old := list[0].ID
	row, err := stored.Rotate(t.Context())
	schemetest.Must(t, err)
	w.clock.Pass(time.Minute)
	if jwks, err := stored.JWKS(t.Context()); err != nil || !strings.Contains(string(jwks), row.ID) || !strings.Contains(string(jwks), old) {
		t.Errorf("%s, %v", jwks, err)
	}
	kid := func() string {
		q, err := x.Issue(t.Context(), "id-alice", 0, nil)
		schemetest.Must(t, err)
		tok, err := jose.Decode(q.Access)
		schemetest.Must(t, err)
		return tok.Header.KeyID
	}
	if kid() != old || statusOf(x, p.Access) != 200 {
		t.Error("the new key signs before it is known")
	}
	w.clock.Pass(10 * time.Minute)
	if kid() != row.ID || statusOf(x, p.Access) != 200 {
		t.Error("the new key does not sign, or the old does not verify")
	}
	w.clock.Pass(24 * time.Hour)
	if got := statusOf(x, p.Access); got != 401 {
		t.Errorf("a token of an expired key, in the cache: %d", got)
	}
	leaked := kid()
	_, err = stored.Rotate(t.Context())
	schemetest.Must(t, err)
	q, err := x.Issue(t.Context(), "id-alice", 0, nil)
	schemetest.Must(t, err)
	if statusOf(x, q.Access) != 200 {
		t.Error("refused")
	}
	schemetest.Must(t, stored.Expire(t.Context(), leaked))
	if err := stored.Expire(t.Context(), "x"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	w.clock.Pass(time.Minute)
	if got := statusOf(x, q.Access); got != 401 {
		t.Errorf("a token of a key that was expired: %d", got)
	}
	if next := kid(); next == leaked {
		t.Error("a key that was expired signs")
	}
}

// Rotate changes nothing if the new key could not be used.
func TestRotateRefuses(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	right, err := keys.NewRing(keys.Generate())
	schemetest.Must(t, err)
	other, err := keys.NewRing(keys.Generate())
	schemetest.Must(t, err)
	s := memory.New(nil)
	var log strings.Builder
	open := func(master *keys.Ring) *jwt.StoredKeys {
		k, err := jwt.NewStoredKeys(s, master, issuer, &jwt.KeyOptions{Clock: w.clock.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		schemetest.Must(t, err)
		return k
	}
	count := func(want int, what string) {
		t.Helper()
		list, err := s.ListSigningKeys(t.Context(), "jwt "+issuer)
		if err != nil || len(list) != want {
			t.Fatalf("%s: %d keys, %v, want %d", what, len(list), err, want)
		}
	}
	refuses := func(k *jwt.StoredKeys, want error) {
		t.Helper()
		list, err := s.ListSigningKeys(t.Context(), "jwt "+issuer)
		schemetest.Must(t, err)
		if _, err := k.Rotate(t.Context()); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		count(len(list), "a refused rotation")
	}
	stored, wrong := open(right), open(other)
	refuses(stored, jwt.ErrNoKey)
	first, err := jwt.NewStoredKeys(s, right, issuer, &jwt.KeyOptions{Clock: w.clock.Now, Algorithm: jose.ES256})
	schemetest.Must(t, err)
	schemetest.Must(t, first.Ensure(t.Context()))
	refuses(wrong, jwt.ErrMasterKey)
	if err := wrong.Ensure(t.Context()); err == nil {
		t.Error("a start under a lost master key")
	}
	if _, err := wrong.Sign(t.Context(), "x", []byte("{}")); err == nil {
		t.Error("signed under another master key")
	}
	schemetest.Must(t, stored.Ensure(t.Context()))
	row, err := stored.Rotate(t.Context())
	if err != nil || row.Algorithm != "ES256" {
		t.Fatalf("the algorithm changed without a word: %s, %v", row.Algorithm, err)
	}
	refuses(stored, jwt.ErrPending)
	// Another program created a key with the wrong master key. The server continues.
	w.clock.Pass(time.Hour)
	bad, err := jose.Generate(jose.EdDSA)
	schemetest.Must(t, err)
	masterID, sealed, err := bad.Seal(other, "jwt "+issuer)
	schemetest.Must(t, err)
	schemetest.Must(t, s.CreateSigningKey(t.Context(), storage.SigningKey{ID: bad.ID(), Purpose: "jwt " + issuer, Algorithm: "EdDSA",
		MasterID: masterID, Sealed: sealed, Created: w.clock.Now(), SignsFrom: w.clock.Now()}, row.ID))
	schemetest.Must(t, stored.Ensure(t.Context()))
	x, err := jwt.New(issuer, audience, open(right), w.store, &jwt.Options{Clock: w.clock.Now})
	schemetest.Must(t, err)
	p, err := x.Issue(t.Context(), "id-alice", 0, nil)
	if err != nil || statusOf(x, p.Access) != 200 {
		t.Errorf("a key that does not open takes the others down: %v", err)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), bad.ID()) {
		t.Errorf("log: %s", &log)
	}
	refuses(stored, jwt.ErrMasterKey)
	schemetest.Must(t, stored.Expire(t.Context(), bad.ID()))
	if _, err := stored.Rotate(t.Context()); err != nil {
		t.Errorf("after Expire: %v", err)
	}
	if got, err := jwt.Issuers(t.Context(), s); err != nil || len(got) != 1 || got[0] != issuer {
		t.Errorf("issuers %q, %v", got, err)
	}
}

// The cache is limited in number and bytes, and never returns another token.
func TestCacheIsBounded(t *testing.T) {
	w := newWorld(t, jwt.Options{CacheEntries: 64, CacheBytes: 64 << 10})
	var all []string
	for range 500 {
		all = append(all, w.issue(t).Access)
	}
	for range 2 {
		for _, token := range all {
			if w.status(token) != 200 {
				t.Fatal("refused")
			}
		}
	}
	if n := jwt.Cached(w.Scheme); n > 64 {
		t.Errorf("%d entries", n)
	}
}
