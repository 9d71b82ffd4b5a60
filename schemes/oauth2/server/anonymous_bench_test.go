package server_test

import (
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// request is something that anybody can send.
type anonymous struct {
	handler http.Handler
	make    func() *http.Request
	size    int // of what is sent, in bytes
}

// bigKey is a public RSA key of so many bits, as a JWK: nobody has the private half.
func bigKey(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	n.Or(n, big.NewInt(12345))
	return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"}`, base64.RawURLEncoding.EncodeToString(n.Bytes()))
}

// dearest are the most expensive requests of callers who proved nothing, by endpoint.
func dearest(t testing.TB) map[string]anonymous {
	ring, err := jose.Generate(jose.RS256)
	oauthtest.Must(t, err)
	signing, err := jose.NewKeySet(ring)
	oauthtest.Must(t, err)
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) {
		oauthtest.WithSessions(o)
		o.Keys, _ = keys.NewRing(keys.Generate())
		o.DPoP, o.SigningKeys, o.SignedAccess = &oauthtest.DPoP{}, signing, true
		o.OpenID = &oauthtest.OpenID{EndSession: func(http.ResponseWriter, *http.Request) error { return nil }}
		o.Registration = &oauthtest.Registration{Allow: func(*http.Request) error { return nil }, Scopes: []string{"read"}}
		o.InsecurePasswordGrant = nil
	})
	var set []string
	for i := range 8 {
		set = append(set, strings.Replace(bigKey(4096), "{", fmt.Sprintf(`{"kid":"%d","alg":"PS256",`, i), 1))
	}
	jwks := `{"keys":[` + strings.Join(set, ",") + `]}`
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "signer", Method: oauth2.PrivateKeyJWT, Keys: []byte(jwks), Grants: []string{oauth2.ClientCredentials}}))
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "tv", Method: oauth2.None, Grants: []string{oauth2.DeviceCode}, Scopes: []string{"read"}}))

	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	junk := base64.RawURLEncoding.EncodeToString(make([]byte, 512))
	now := w.Clock().Unix()
	proof := func(method, uri, more string) string {
		return b64(`{"typ":"dpop+jwt","alg":"PS256","jwk":`+bigKey(4096)+`}`) + "." + b64(fmt.Sprintf(`{"jti":"x","htm":%q,"htu":%q,"iat":%d%s}`, method, uri, now, more)) + "." + junk
	}
	jws := func(typ, claims string) string {
		return b64(fmt.Sprintf(`{"typ":%q,"alg":"RS256","kid":%q}`, typ, ring.ID())) + "." + b64(claims) + "." + base64.RawURLEncoding.EncodeToString(append([]byte{1}, make([]byte, ring.Public().(*rsa.PublicKey).Size()-1)...))
	}
	roles := `"` + strings.Repeat(`x","`, 500) + `x"`
	own := fmt.Sprintf(`{"iss":%q,"sub":"a","aud":"spa","exp":%d,"iat":%d,"jti":"x","client_id":"spa","roles":[%s]}`, oauthtest.Issuer, now+60, now, roles)
	assertion := b64(`{"alg":"PS256","kid":"7"}`) + "." + b64(fmt.Sprintf(`{"iss":"signer","sub":"signer","aud":%q,"exp":%d,"iat":%d,"jti":"x","roles":[%s]}`, oauthtest.Issuer, now+60, now, roles)) + "." + junk

	post := func(h http.Handler, form string, headers ...string) anonymous {
		size := len(form)
		for _, v := range headers {
			size += len(v)
		}
		return anonymous{h, func() *http.Request {
			r := httptest.NewRequest("POST", oauthtest.Issuer+"/x", strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			return r
		}, size}
	}
	get := func(h http.Handler, uri string, headers ...string) anonymous {
		a := post(h, "", headers...)
		return anonymous{h, func() *http.Request {
			r := a.make()
			n := httptest.NewRequest("GET", uri, nil)
			n.Header = r.Header
			return n
		}, a.size + len(uri)}
	}
	many := func(n int) string { // each of a name of its own
		var b strings.Builder
		for i := range n {
			b.WriteString(strconv.FormatInt(int64(i), 36) + "&")
		}
		return b.String()
	}
	long := func(name string) string { return name + "=" + strings.Repeat("%41+", 4000) }
	api := authn.New(authn.Chain{w.Scheme()}, &authn.Options{Logger: oauthtest.Quiet}).Handler(http.NotFoundHandler())
	tokenProof := proof("POST", oauthtest.Issuer+"/oauth2/token", "")
	code := url.Values{"grant_type": {"authorization_code"}, "client_id": {"spa"}, "code": {guess("vac")}, "redirect_uri": {oauthtest.Redirect}, "code_verifier": {oauthtest.Verifier}}.Encode()
	junkAccess := guess("vat")
	return map[string]anonymous{
		"token, code, RSA-4096 proof":                            post(w.Token(), code, "DPoP", tokenProof),
		"token, refresh, RSA-4096 proof":                         post(w.Token(), "grant_type=refresh_token&client_id=spa&refresh_token="+guess("vor"), "DPoP", tokenProof),
		"token, device, RSA-4096 proof":                          post(w.Token(), "grant_type="+url.QueryEscape(oauth2.DeviceCode)+"&client_id=tv&device_code="+guess("vdc"), "DPoP", tokenProof),
		"token, wrong secret":                                    post(w.Token(), "grant_type=client_credentials&client_id=other&client_secret="+guess("vcs")),
		"token, wrong RSA-4096 assertion":                        post(w.Token(), "grant_type=client_credentials&client_assertion_type="+url.QueryEscape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")+"&client_assertion="+assertion),
		"token, 16 KiB of one parameter":                         post(w.Token(), "client_id=spa&grant_type=refresh_token&refresh_token="+guess("vor")+"&"+long("scope")),
		"token, 5,000 parameters":                                post(w.Token(), "client_id=spa"+strings.Repeat("&a", 5000)),
		"token, Basic of 16 KiB":                                 post(w.Token(), "grant_type=x", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("%41", 4000)+":x"))),
		"par, RSA-4096 proof":                                    post(w.PushedAuthorization(), pushForm+oauthtest.ChallengeOf(oauthtest.Verifier), "DPoP", proof("POST", oauthtest.Issuer+"/oauth2/par", "")),
		"par, wrong id_token_hint":                               post(w.PushedAuthorization(), pushForm+oauthtest.ChallengeOf(oauthtest.Verifier)+"&id_token_hint="+jws("JWT", own)),
		"device_authorization":                                   post(w.DeviceAuthorization(), "client_id=tv&scope=read"),
		"register, 8 keys of RSA-4096":                           {w.Register(), post(w.Register(), `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks":`+jwks+`}`, "Content-Type", "application/json").make, len(jwks)},
		"register, deep JSON":                                    post(w.Register(), `{"x":`+strings.Repeat("[", 8000)+strings.Repeat("]", 8000)+`}`, "Content-Type", "application/json"),
		"introspect, wrong secret":                               post(w.Introspect(), "client_id=other&client_secret=x&token="+jws("at+jwt", own)),
		"revoke, wrong signed token":                             post(w.Revoke(), "client_id=spa&token="+jws("at+jwt", own)),
		"userinfo, junk and an RSA-4096 proof":                   get(w.UserInfo(), oauthtest.Issuer+"/oauth2/userinfo", "Authorization", "DPoP "+junkAccess, "DPoP", proof("GET", oauthtest.Issuer+"/oauth2/userinfo", "")),
		"API, opaque junk":                                       get(api, oauthtest.Issuer+"/", "Authorization", "Bearer "+junkAccess),
		"API, wrong signed token":                                get(api, oauthtest.Issuer+"/", "Authorization", "Bearer "+jws("at+jwt", own)),
		"API, 16 KiB of junk":                                    get(api, oauthtest.Issuer+"/", "Authorization", "Bearer e."+strings.Repeat("A", 16000)+".A"),
		"authorize, not logged in":                               get(w.Authorize("/login"), oauthtest.Issuer+"/oauth2/authorize?"+oauthtest.Query("app")),
		"authorize, wrong id_token_hint":                         get(w.Authorize("/login"), oauthtest.Issuer+"/oauth2/authorize?"+oauthtest.Query("app", "id_token_hint", jws("JWT", own))),
		"authorize, 64 KiB of query":                             get(w.Authorize("/login"), oauthtest.Issuer+"/oauth2/authorize?"+oauthtest.Query("app")+"&"+long("x")+strings.Repeat("%41", 13000)),
		"authorize, 20,000 parameters":                           get(w.Authorize("/login"), oauthtest.Issuer+"/oauth2/authorize?"+strings.Repeat("&a", 20000)),
		"logout, wrong id_token_hint":                            get(w.Logout(), oauthtest.Issuer+"/oauth2/logout?id_token_hint="+jws("JWT", own)),
		"device page, not logged in":                             get(w.Device("/login"), oauthtest.Issuer+"/oauth2/device?user_code="+strings.Repeat("%41", 2000)),
		"authorize by POST, 3,500 parameters":                    post(w.Authorize("/login"), many(3500)),
		"logout by POST, 3,500 parameters":                       post(w.Logout(), many(3500)),
		"attack_381, authorize by POST, 15 KiB of id_token_hint": post(w.Authorize("/login"), oauthtest.Query("app", "id_token_hint", strings.Repeat("a", 15<<10))),
		"attack_381, logout by POST, 15 KiB of id_token_hint":    post(w.Logout(), "id_token_hint="+strings.Repeat("a", 15<<10)),
		"attack_381, logout by POST, 6 KiB of id_token_hint":     post(w.Logout(), "id_token_hint="+strings.Repeat("a", 6<<10)),
		"attack_381, logout by POST, 15 KiB to be escaped":       post(w.Logout(), "state="+strings.Repeat("(", 15<<10)),
		"device page, 2,000 parameters":                          get(w.Device("/login"), oauthtest.Issuer+"/oauth2/device?"+many(2000)),
		"jwks":                                                   get(w.JWKS(), oauthtest.Issuer+"/oauth2/jwks"),
		"metadata":                                               get(w.Metadata(), oauthtest.Issuer+"/.well-known/oauth-authorization-server"),
	}
}

// BenchmarkAnonymous shows what the dearest requests of anonymous callers cost, endpoint by
// endpoint. The request itself and the recorder are not counted.
func BenchmarkAnonymous(b *testing.B) {
	for what, a := range dearest(b) {
		b.Run(strings.ReplaceAll(what, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				r, rec := a.make(), nowhere{http.Header{}}
				b.StartTimer()
				a.handler.ServeHTTP(rec, r)
			}
		})
	}
}

// nowhere is a ResponseWriter that keeps nothing.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// verifiesRSA4096 are the requests for which a signature by the largest key is verified.
var verifiesRSA4096 = map[string]bool{"par, RSA-4096 proof": true, "token, wrong RSA-4096 assertion": true}

// bytesOf is what a request takes, in the mean of eight.
func bytesOf(a anonymous) int {
	const times = 8
	requests := make([]*http.Request, times+1)
	for i := range requests {
		requests[i] = a.make()
	}
	a.handler.ServeHTTP(nowhere{http.Header{}}, requests[times])
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, r := range requests[:times] {
		a.handler.ServeHTTP(nowhere{http.Header{}}, r)
	}
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc-before.TotalAlloc) / times
}

// No anonymous request makes the server allocate more than 64 KiB beyond what the caller sends.
func TestAnonymousMemory(t *testing.T) {
	for what, a := range dearest(t) {
		t.Run("edge_A12/"+what, func(t *testing.T) {
			// The least of three, since a collection empties the pools of crypto/rsa.
			got := min(bytesOf(a), bytesOf(a), bytesOf(a))
			t.Logf("%d bytes for %d", got, a.size)
			most := 64<<10 + a.size
			if verifiesRSA4096[what] { // crypto/rsa alone allocates 63 KB
				most += 32 << 10
			}
			if raceEnabled {
				most += most / 4
			}
			if got > most {
				t.Errorf("%d bytes for a request of %d", got, a.size)
			}
		})
	}
}
