package oauth2_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// ringOf makes a ring of one key.
func ringOf(t testing.TB, id string, alg jose.Algorithm, key crypto.Signer) *jose.Ring {
	t.Helper()
	k, err := jose.NewPrivate(id, alg, key)
	must(t, err)
	r, err := jose.NewRing(k)
	must(t, err)
	return r
}

func publicSet(t testing.TB, r *jose.Ring) []byte {
	t.Helper()
	set, err := r.JWKS(t.Context())
	must(t, err)
	return set
}

func ed(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return key
}

// signer registers a client that signs assertions.
func (w *world) signer(id string, set []byte) {
	w.t.Helper()
	c := storage.Client{ID: id, Method: oauth2.PrivateKeyJWT, Keys: set, Grants: []string{oauth2.ClientCredentials}, Scopes: []string{"read"}, Default: []string{"read"}, Resources: []string{"https://api.example"}}
	must(w.t, oauth2.CheckClient(c))
	must(w.t, w.s.CreateClient(w.t.Context(), c))
}

// assertion signs good claims of a client with some changed; nil takes one away.
func (w *world) assertion(r *jose.Ring, typ, client string, change map[string]any) string {
	w.t.Helper()
	claims := map[string]any{"iss": client, "sub": client, "aud": issuer, "jti": fmt.Sprint("jti-", w.n.Add(1)), "iat": w.clock().Unix(), "exp": w.clock().Add(time.Minute).Unix()}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(claims)
	must(w.t, err)
	token, err := r.Sign(w.t.Context(), typ, text)
	must(w.t, err)
	return token
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// asserts asks for a token of the client's own.
func (w *world) asserts(assertion string, pairs ...string) reply {
	return w.post(w.Token(), "", append([]string{"grant_type", "client_credentials", "client_assertion_type", assertionType, "client_assertion", assertion}, pairs...)...)
}

func TestAssertion(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, nil)
		ring := ringOf(t, "k", jose.EdDSA, ed(t))
		w.signer("signer", publicSet(t, ring))
		for what, got := range map[string]reply{
			"plain":             w.asserts(w.assertion(ring, "", "signer", nil)),
			"attack_164_typed":  w.asserts(w.assertion(ring, "JWT", "signer", nil)),
			"its own type":      w.asserts(w.assertion(ring, "client-authentication+jwt", "signer", nil)),
			"client_id":         w.asserts(w.assertion(ring, "", "signer", nil), "client_id", "signer"),
			"a list of one":     w.asserts(w.assertion(ring, "", "signer", map[string]any{"aud": []string{issuer}})),
			"longest":           w.asserts(w.assertion(ring, "", "signer", map[string]any{"exp": w.clock().Add(5 * time.Minute).Unix()})),
			"a clock that lags": w.asserts(w.assertion(ring, "", "signer", map[string]any{"iat": w.clock().Add(-time.Minute).Unix(), "exp": w.clock().Add(-20 * time.Second).Unix()})),
		} {
			if got.Status != 200 || got.Scope != "read" || w.status(got.Access) != 200 {
				t.Errorf("%s: %d %s", what, got.Status, got.Body)
			}
		}
		about := w.post(w.Introspect(), "", "token", w.asserts(w.assertion(ring, "", "signer", nil)).Access, "client_assertion_type", assertionType, "client_assertion", w.assertion(ring, "", "signer", nil))
		if !about.Active {
			t.Errorf("introspection by an assertion: %+v", about)
		}
		w.s.fail.Store(true)
		if got := w.asserts(w.assertion(ring, "", "signer", nil)); got.Status != 503 {
			t.Errorf("the store is down: %d %s", got.Status, got.Body)
		}
		w.s.fail.Store(false)
		w.s.failUse.Store(true)
		if got := w.asserts(w.assertion(ring, "", "signer", nil)); got.Status != 503 {
			t.Errorf("a use can not be noted: %d %s", got.Status, got.Body)
		}
		w.s.failUse.Store(false)
	})
}

func TestAssertionRefuses(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, nil)
		key := ed(t)
		ring := ringOf(t, "k", jose.EdDSA, key)
		w.signer("signer", publicSet(t, ring))
		w.signer("second", publicSet(t, ringOf(t, "k", jose.EdDSA, ed(t))))
		sign := func(change map[string]any) string { return w.assertion(ring, "", "signer", change) }
		good := sign(nil)
		payload := strings.Split(good, ".")[1]
		none := "eyJhbGciOiJub25lIn0." + payload + "."
		replayed := sign(nil)
		if got := w.asserts(replayed); got.Status != 200 {
			t.Fatalf("%+v", got)
		}
		again, err := oauth2.New(issuer, w.s, &oauth2.Options{Scopes: map[string]string{"read": ""}, Clock: w.clock})
		must(t, err) // a second replica
		header := func(keyword string) reply {
			r := httptest.NewRequest("POST", issuer+"/t", nil)
			r.Header.Set("Authorization", keyword)
			return w.send(w.Token(), r, url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {sign(nil)}}.Encode())
		}
		bodies := map[string]bool{}
		for what, got := range map[string]reply{
			"attack_164_none":          w.asserts(none),
			"attack_164_HS":            w.asserts(publicAsSecret(t, key, sign(nil))),
			"attack_164_aud_list":      w.asserts(sign(map[string]any{"aud": []string{issuer, "https://other.example"}})),
			"attack_164_aud_twice":     w.asserts(sign(map[string]any{"aud": []string{issuer, issuer}})),
			"attack_164_aud_token_URL": w.asserts(sign(map[string]any{"aud": issuer + "/oauth2/token"})),
			"attack_164_aud_slash":     w.asserts(sign(map[string]any{"aud": issuer + "/"})),
			"attack_164_no_aud":        w.asserts(sign(map[string]any{"aud": nil})),
			"attack_164_a_day":         w.asserts(sign(map[string]any{"exp": w.clock().Add(24 * time.Hour).Unix()})),
			"attack_164_six_minutes":   w.asserts(sign(map[string]any{"exp": w.clock().Add(6 * time.Minute).Unix()})),
			"attack_164_no_exp":        w.asserts(sign(map[string]any{"exp": nil})),
			"attack_164_expired":       w.asserts(sign(map[string]any{"exp": w.clock().Add(-time.Minute).Unix(), "iat": nil})),
			"attack_164_not_yet":       w.asserts(sign(map[string]any{"nbf": w.clock().Add(40 * time.Second).Unix()})),
			"attack_164_future":        w.asserts(sign(map[string]any{"iat": w.clock().Add(40 * time.Second).Unix()})),
			"attack_164_no_jti":        w.asserts(sign(map[string]any{"jti": nil})),
			"attack_164_long_jti":      w.asserts(sign(map[string]any{"jti": strings.Repeat("j", 256)})),
			"attack_164_replay":        w.asserts(replayed),
			"attack_164_replica":       w.post(again.Token(), "", "grant_type", "client_credentials", "client_assertion_type", assertionType, "client_assertion", replayed),
			"attack_164_iss":           w.asserts(sign(map[string]any{"iss": "second"})),
			"attack_164_no_iss":        w.asserts(sign(map[string]any{"iss": nil})),
			"attack_164_no_sub":        w.asserts(sign(map[string]any{"sub": nil})),
			"attack_164_other_client":  w.asserts(w.assertion(ring, "", "second", nil)),
			"attack_164_sub_other":     w.asserts(sign(map[string]any{"sub": "second"})),
			"attack_164_client_id":     w.asserts(sign(nil), "client_id", "second"),
			"attack_164_unknown":       w.asserts(w.assertion(ring, "", "nobody", nil)),
			"attack_164_typ":           w.asserts(w.assertion(ring, "at+jwt", "signer", nil)),
			"attack_164_proof":         w.asserts(w.assertion(ring, "dpop+jwt", "signer", nil)),
			"attack_164_signature":     w.asserts(good[:len(good)-8] + "AAAAAAAA"),
			"attack_164_other_key":     w.asserts(w.assertion(ringOf(t, "k", jose.EdDSA, ed(t)), "", "signer", nil)),
			"attack_164_unknown_kid":   w.asserts(w.assertion(ringOf(t, "x", jose.EdDSA, key), "", "signer", nil)),
			"attack_164_garbage":       w.asserts("x.y.z"),
			"attack_164_empty":         w.asserts(""),
			"attack_164_type":          w.post(w.Token(), "", "grant_type", "client_credentials", "client_assertion", sign(nil)),
			"attack_164_saml":          w.post(w.Token(), "", "grant_type", "client_credentials", "client_assertion", sign(nil), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
			"attack_164_type_alone":    w.post(w.Token(), "", "grant_type", "client_credentials", "client_id", "signer", "client_assertion_type", assertionType),
			"attack_163_and_basic":     header("Basic YXBwOng="),
			"attack_163_and_bearer":    header("Bearer x"),
			"attack_163_and_secret":    w.asserts(sign(nil), "client_secret", "x"),
			"attack_163_registered":    w.asserts(w.assertion(ring, "", "app", nil)),
			"attack_163_public":        w.asserts(w.assertion(ring, "", "spa", nil)),
			"attack_163_none":          w.post(w.Token(), "", "grant_type", "client_credentials", "client_id", "signer"),
			"attack_163_post":          w.post(w.Token(), "", "grant_type", "client_credentials", "client_id", "signer", "client_secret", "x"),
			"attack_165_secret_jwt":    w.asserts(w.assertion(secretRing(t, w.secrets["app"]), "", "app", nil)),
		} {
			t.Run(what, func(t *testing.T) {
				if got.Status != 401 || got.Error != "invalid_client" {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			})
			bodies[got.Body] = true
		}
		if len(bodies) != 1 {
			t.Errorf("attack_164: the answers differ: %v", bodies)
		}
		if strings.Contains(w.log.String(), payload) {
			t.Error("an assertion is in the log")
		}
		if got := w.asserts(good); got.Status != 200 {
			t.Errorf("a refused one burnt a good one: %+v", got)
		}
		w.pass(7 * time.Minute)
		if got := w.asserts(replayed); got.Status != 401 {
			t.Errorf("after its end: %+v", got)
		}
	})
}

// publicAsSecret signs a token's claims anew by HS256, with the public key for a secret.
func publicAsSecret(t *testing.T, key crypto.Signer, token string) string {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"k"}`)) + "." + strings.Split(token, ".")[1]
	h := hmac.New(sha256.New, der)
	h.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func secretRing(t *testing.T, secret string) *jose.Ring {
	k, err := jose.NewSecret("k", jose.HS256, []byte(secret))
	must(t, err)
	r, err := jose.NewRing(k)
	must(t, err)
	return r
}

// Every algorithm that the metadata name is taken, and no other.
func TestAssertionAlgorithms(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	rec := httptest.NewRecorder()
	w.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	for alg, key := range map[jose.Algorithm]crypto.Signer{jose.ES256: p256, jose.EdDSA: ed(t), jose.PS256: rsaKey, jose.RS256: rsaKey} {
		ring := ringOf(t, "k", alg, key)
		w.signer("signer-"+string(alg), publicSet(t, ring))
		if got := w.asserts(w.assertion(ring, "", "signer-"+string(alg), nil)); got.Status != 200 {
			t.Errorf("%s: %d %s", alg, got.Status, got.Body)
		}
		if !strings.Contains(rec.Body.String(), `"`+string(alg)+`"`) {
			t.Errorf("%s is not in the metadata", alg)
		}
	}
	if got := w.asserts(w.assertion(ringOf(t, "k", jose.RS256, rsaKey), "", "signer-PS256", nil)); got.Status != 401 {
		t.Errorf("attack_164: a key for PS256 signs RS256: %d", got.Status)
	}
	other := storage.Client{ID: "x", Method: oauth2.PrivateKeyJWT, Grants: []string{oauth2.ClientCredentials}, Keys: publicSet(t, ringOf(t, "k", jose.ES384, p384))}
	if err := oauth2.CheckClient(other); err == nil || !strings.Contains(err.Error(), "none of its keys") {
		t.Errorf("%v", err)
	}
	must(t, w.s.CreateClient(t.Context(), other)) // by whoever did not check
	if got := w.asserts(w.assertion(ringOf(t, "k", jose.ES384, p384), "", "x", nil)); got.Status != 401 {
		t.Errorf("attack_164: %d", got.Status)
	}
	if !strings.Contains(rec.Body.String(), `"token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","private_key_jwt","none"]`) {
		t.Errorf("attack_165: %s", rec.Body)
	}
}

func TestAssertionRace(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newWorld(t, s, nil)
		ring := ringOf(t, "k", jose.EdDSA, ed(t))
		w.signer("signer", publicSet(t, ring))
		one := w.assertion(ring, "", "signer", nil)
		statuses := together(func(int) int { return w.asserts(one).Status })
		t.Run("attack_164_race", func(t *testing.T) {
			if statuses[200] != 1 || statuses[401] != 63 {
				t.Errorf("%v", statuses)
			}
		})
	})
}

// together counts what 64 at once get.
func together(f func(i int) int) map[int]int {
	counts, start := map[int]int{}, make(chan struct{})
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			<-start
			got := f(i)
			mu.Lock()
			defer mu.Unlock()
			counts[got]++
		})
	}
	close(start)
	wg.Wait()
	return counts
}

func TestCheckClientKeys(t *testing.T) {
	set := string(publicSet(t, ringOf(t, "k", jose.EdDSA, ed(t))))
	good := storage.Client{ID: "x", Method: oauth2.PrivateKeyJWT, Grants: []string{oauth2.ClientCredentials}, Keys: []byte(set)}
	must(t, oauth2.CheckClient(good))
	member := func(text string) []byte { return []byte(strings.Replace(set, `"kty"`, text+`,"kty"`, 1)) }
	for want, change := range map[string]func(*storage.Client){
		"needs its public":   func(c *storage.Client) { c.Keys = nil },
		"strict JSON":        func(c *storage.Client) { c.Keys = []byte("-----BEGIN PUBLIC KEY-----") },
		"no JWK Set":         func(c *storage.Client) { c.Keys = []byte(`{}`) },
		"none of its keys":   func(c *storage.Client) { c.Keys = []byte(`{"keys":[]}`) },
		"private key":        func(c *storage.Client) { c.Keys = member(`"d":"AA"`) },
		"a private key":      func(c *storage.Client) { c.Keys = []byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`) },
		"keys are for":       func(c *storage.Client) { c.Method = oauth2.SecretBasic },
		"keys and a secret":  func(c *storage.Client) { c.Secret = storage.DigestOf("x") },
		"with keys and a se": func(c *storage.Client) { c.Password = "x" },
	} {
		c := good
		change(&c)
		if err := oauth2.CheckClient(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
