package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
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

func TestAssertion(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		ring := oauthtest.RingOf(t, "k", jose.EdDSA, oauthtest.Ed25519Key(t))
		w.Signer("signer", oauthtest.PublicSet(t, ring))
		for what, got := range map[string]oauthtest.Reply{
			"plain":             w.Asserts(w.Assertion(ring, "", "signer", nil)),
			"attack_164_typed":  w.Asserts(w.Assertion(ring, "JWT", "signer", nil)),
			"its own type":      w.Asserts(w.Assertion(ring, "client-authentication+jwt", "signer", nil)),
			"client_id":         w.Asserts(w.Assertion(ring, "", "signer", nil), "client_id", "signer"),
			"a list of one":     w.Asserts(w.Assertion(ring, "", "signer", map[string]any{"aud": []string{oauthtest.Issuer}})),
			"longest":           w.Asserts(w.Assertion(ring, "", "signer", map[string]any{"exp": w.Clock().Add(5 * time.Minute).Unix()})),
			"a clock that lags": w.Asserts(w.Assertion(ring, "", "signer", map[string]any{"iat": w.Clock().Add(-time.Minute).Unix(), "exp": w.Clock().Add(-20 * time.Second).Unix()})),
		} {
			if got.Status != 200 || got.Scope != "read" || w.Status(got.Access) != 200 {
				t.Errorf("%s: %d %s", what, got.Status, got.Body)
			}
		}
		about := w.Post(w.Introspect(), "", "token", w.Asserts(w.Assertion(ring, "", "signer", nil)).Access, "client_assertion_type", oauthtest.AssertionType, "client_assertion", w.Assertion(ring, "", "signer", nil))
		if !about.Active {
			t.Errorf("introspection by an assertion: %+v", about)
		}
		w.DB.Fail.Store(true)
		if got := w.Asserts(w.Assertion(ring, "", "signer", nil)); got.Status != 503 {
			t.Errorf("the store is down: %d %s", got.Status, got.Body)
		}
		w.DB.Fail.Store(false)
		w.DB.FailUse.Store(true)
		if got := w.Asserts(w.Assertion(ring, "", "signer", nil)); got.Status != 503 {
			t.Errorf("a use cannot be noted: %d %s", got.Status, got.Body)
		}
		w.DB.FailUse.Store(false)
	})
}

func TestAssertionRefuses(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		key := oauthtest.Ed25519Key(t)
		ring := oauthtest.RingOf(t, "k", jose.EdDSA, key)
		w.Signer("signer", oauthtest.PublicSet(t, ring))
		w.Signer("second", oauthtest.PublicSet(t, oauthtest.RingOf(t, "k", jose.EdDSA, oauthtest.Ed25519Key(t))))
		sign := func(change map[string]any) string { return w.Assertion(ring, "", "signer", change) }
		good := sign(nil)
		payload := strings.Split(good, ".")[1]
		none := "eyJhbGciOiJub25lIn0." + payload + "."
		replayed := sign(nil)
		if got := w.Asserts(replayed); got.Status != 200 {
			t.Fatalf("%+v", got)
		}
		again, err := oauthtest.New(oauthtest.Issuer, w.DB, &oauthtest.Options{Scopes: map[string]string{"read": ""}, Clock: w.Clock})
		oauthtest.Must(t, err) // a second replica
		header := func(keyword string) oauthtest.Reply {
			r := httptest.NewRequest("POST", oauthtest.Issuer+"/t", nil)
			r.Header.Set("Authorization", keyword)
			return w.Send(w.Token(), r, url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {oauthtest.AssertionType}, "client_assertion": {sign(nil)}}.Encode())
		}
		bodies := map[string]bool{}
		for what, got := range map[string]oauthtest.Reply{
			"attack_164_none":          w.Asserts(none),
			"attack_164_HS":            w.Asserts(publicAsSecret(t, key, sign(nil))),
			"attack_164_aud_list":      w.Asserts(sign(map[string]any{"aud": []string{oauthtest.Issuer, "https://other.example"}})),
			"attack_164_aud_twice":     w.Asserts(sign(map[string]any{"aud": []string{oauthtest.Issuer, oauthtest.Issuer}})),
			"attack_164_aud_token_URL": w.Asserts(sign(map[string]any{"aud": oauthtest.Issuer + "/oauth2/token"})),
			"attack_164_aud_slash":     w.Asserts(sign(map[string]any{"aud": oauthtest.Issuer + "/"})),
			"attack_164_no_aud":        w.Asserts(sign(map[string]any{"aud": nil})),
			"attack_164_a_day":         w.Asserts(sign(map[string]any{"exp": w.Clock().Add(24 * time.Hour).Unix()})),
			"attack_164_six_minutes":   w.Asserts(sign(map[string]any{"exp": w.Clock().Add(6 * time.Minute).Unix()})),
			"attack_164_no_exp":        w.Asserts(sign(map[string]any{"exp": nil})),
			"attack_164_expired":       w.Asserts(sign(map[string]any{"exp": w.Clock().Add(-time.Minute).Unix(), "iat": nil})),
			"attack_164_not_yet":       w.Asserts(sign(map[string]any{"nbf": w.Clock().Add(40 * time.Second).Unix()})),
			"attack_164_future":        w.Asserts(sign(map[string]any{"iat": w.Clock().Add(40 * time.Second).Unix()})),
			"attack_164_no_jti":        w.Asserts(sign(map[string]any{"jti": nil})),
			"attack_164_long_jti":      w.Asserts(sign(map[string]any{"jti": strings.Repeat("j", 256)})),
			"attack_164_replay":        w.Asserts(replayed),
			"attack_164_replica":       w.Post(again.Token(), "", "grant_type", "client_credentials", "client_assertion_type", oauthtest.AssertionType, "client_assertion", replayed),
			"attack_164_iss":           w.Asserts(sign(map[string]any{"iss": "second"})),
			"attack_164_no_iss":        w.Asserts(sign(map[string]any{"iss": nil})),
			"attack_164_no_sub":        w.Asserts(sign(map[string]any{"sub": nil})),
			"attack_164_other_client":  w.Asserts(w.Assertion(ring, "", "second", nil)),
			"attack_164_sub_other":     w.Asserts(sign(map[string]any{"sub": "second"})),
			"attack_164_client_id":     w.Asserts(sign(nil), "client_id", "second"),
			"attack_164_unknown":       w.Asserts(w.Assertion(ring, "", "nobody", nil)),
			"attack_164_typ":           w.Asserts(w.Assertion(ring, "at+jwt", "signer", nil)),
			"attack_164_proof":         w.Asserts(w.Assertion(ring, "dpop+jwt", "signer", nil)),
			"attack_164_signature":     w.Asserts(good[:len(good)-8] + "AAAAAAAA"),
			"attack_164_other_key":     w.Asserts(w.Assertion(oauthtest.RingOf(t, "k", jose.EdDSA, oauthtest.Ed25519Key(t)), "", "signer", nil)),
			"attack_164_unknown_kid":   w.Asserts(w.Assertion(oauthtest.RingOf(t, "x", jose.EdDSA, key), "", "signer", nil)),
			"attack_164_garbage":       w.Asserts("x.y.z"),
			"attack_164_empty":         w.Asserts(""),
			"attack_164_type":          w.Post(w.Token(), "", "grant_type", "client_credentials", "client_assertion", sign(nil)),
			"attack_164_saml":          w.Post(w.Token(), "", "grant_type", "client_credentials", "client_assertion", sign(nil), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
			"attack_164_type_alone":    w.Post(w.Token(), "", "grant_type", "client_credentials", "client_id", "signer", "client_assertion_type", oauthtest.AssertionType),
			"attack_163_and_basic":     header("Basic YXBwOng="),
			"attack_163_and_bearer":    header("Bearer x"),
			"attack_163_and_secret":    w.Asserts(sign(nil), "client_secret", "x"),
			"attack_163_registered":    w.Asserts(w.Assertion(ring, "", "app", nil)),
			"attack_163_public":        w.Asserts(w.Assertion(ring, "", "spa", nil)),
			"attack_163_none":          w.Post(w.Token(), "", "grant_type", "client_credentials", "client_id", "signer"),
			"attack_163_post":          w.Post(w.Token(), "", "grant_type", "client_credentials", "client_id", "signer", "client_secret", "x"),
			"attack_165_secret_jwt":    w.Asserts(w.Assertion(secretRing(t, w.Secrets["app"]), "", "app", nil)),
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
		if strings.Contains(w.Log.String(), payload) {
			t.Error("an assertion is in the log")
		}
		if got := w.Asserts(good); got.Status != 200 {
			t.Errorf("a refused one burnt a good one: %+v", got)
		}
		w.Pass(7 * time.Minute)
		if got := w.Asserts(replayed); got.Status != 401 {
			t.Errorf("after its end: %+v", got)
		}
	})
}

// publicAsSecret signs a token's claims anew by HS256, with the public key for a secret.
func publicAsSecret(t *testing.T, key crypto.Signer, token string) string {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	oauthtest.Must(t, err)
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"k"}`)) + "." + strings.Split(token, ".")[1]
	h := hmac.New(sha256.New, der)
	h.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func secretRing(t *testing.T, secret string) *jose.KeySet {
	k, err := jose.NewSecret("k", jose.HS256, []byte(secret))
	oauthtest.Must(t, err)
	r, err := jose.NewKeySet(k)
	oauthtest.Must(t, err)
	return r
}

// Every algorithm that the metadata name is taken, and no other.
func TestAssertionAlgorithms(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	oauthtest.Must(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	oauthtest.Must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	oauthtest.Must(t, err)
	rec := httptest.NewRecorder()
	w.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	for alg, key := range map[jose.Algorithm]crypto.Signer{jose.ES256: p256, jose.EdDSA: oauthtest.Ed25519Key(t), jose.PS256: rsaKey, jose.RS256: rsaKey} {
		ring := oauthtest.RingOf(t, "k", alg, key)
		w.Signer("signer-"+string(alg), oauthtest.PublicSet(t, ring))
		if got := w.Asserts(w.Assertion(ring, "", "signer-"+string(alg), nil)); got.Status != 200 {
			t.Errorf("%s: %d %s", alg, got.Status, got.Body)
		}
		if !strings.Contains(rec.Body.String(), `"`+string(alg)+`"`) {
			t.Errorf("%s is not in the metadata", alg)
		}
	}
	if got := w.Asserts(w.Assertion(oauthtest.RingOf(t, "k", jose.RS256, rsaKey), "", "signer-PS256", nil)); got.Status != 401 {
		t.Errorf("attack_164: a key for PS256 signs RS256: %d", got.Status)
	}
	other := storage.Client{ID: "x", Method: oauth2.PrivateKeyJWT, Grants: []string{oauth2.ClientCredentials}, Keys: oauthtest.PublicSet(t, oauthtest.RingOf(t, "k", jose.ES384, p384))}
	if err := oauth2.CheckClient(other); err == nil || !strings.Contains(err.Error(), "no usable key") {
		t.Errorf("%v", err)
	}
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), other)) // by whoever did not check
	if got := w.Asserts(w.Assertion(oauthtest.RingOf(t, "k", jose.ES384, p384), "", "x", nil)); got.Status != 401 {
		t.Errorf("attack_164: %d", got.Status)
	}
	if !strings.Contains(rec.Body.String(), `"token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","private_key_jwt","none"]`) {
		t.Errorf("attack_165: %s", rec.Body)
	}
}

func TestAssertionRace(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		ring := oauthtest.RingOf(t, "k", jose.EdDSA, oauthtest.Ed25519Key(t))
		w.Signer("signer", oauthtest.PublicSet(t, ring))
		one := w.Assertion(ring, "", "signer", nil)
		statuses := oauthtest.Together(func(int) int { return w.Asserts(one).Status })
		t.Run("attack_164_race", func(t *testing.T) {
			if statuses[200] != 1 || statuses[401] != 63 {
				t.Errorf("%v", statuses)
			}
		})
	})
}

func TestCheckClientKeys(t *testing.T) {
	set := string(oauthtest.PublicSet(t, oauthtest.RingOf(t, "k", jose.EdDSA, oauthtest.Ed25519Key(t))))
	good := storage.Client{ID: "x", Method: oauth2.PrivateKeyJWT, Grants: []string{oauth2.ClientCredentials}, Keys: []byte(set)}
	oauthtest.Must(t, oauth2.CheckClient(good))
	member := func(text string) []byte { return []byte(strings.Replace(set, `"kty"`, text+`,"kty"`, 1)) }
	for want, change := range map[string]func(*storage.Client){
		"requires public":     func(c *storage.Client) { c.Keys = nil },
		"malformed JSON":      func(c *storage.Client) { c.Keys = []byte("-----BEGIN PUBLIC KEY-----") },
		"no list of keys":     func(c *storage.Client) { c.Keys = []byte(`{}`) },
		"no usable key":       func(c *storage.Client) { c.Keys = []byte(`{"keys":[]}`) },
		"private key":         func(c *storage.Client) { c.Keys = member(`"d":"AA"`) },
		"a private key":       func(c *storage.Client) { c.Keys = []byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`) },
		"keys require":        func(c *storage.Client) { c.Method = oauth2.SecretBasic },
		"keys and a secret":   func(c *storage.Client) { c.Secret = storage.DigestOf("x") },
		"keys and a secret (": func(c *storage.Client) { c.Password = "x" },
	} {
		c := good
		change(&c)
		if err := oauth2.CheckClient(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
