package cached_test

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	texts "github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// gates are a whole request through the middleware, a chain of the six schemes and a guard,
// over a cached store, with a header for each scheme; and the floor: a handler that does with
// the same header what nobody can do without: a digest, a lookup under a sharded lock, one
// value in the request's context.
func gates(tb testing.TB, more ...func(store *cached.Store, headers map[string]http.Header) authn.Authenticator) (ours, least http.Handler, headers map[string]http.Header) {
	db := memory.New(nil)
	ctx := tb.Context()
	hasher, err := password.NewHasher(nil)
	must(tb, err)
	hash, err := hasher.Hash(ctx, "", "wonderland-42")
	must(tb, err)
	must(tb, db.CreateUser(ctx, storage.User{ID: "id-alice", Name: "alice", Active: true, Roles: []string{"staff"}, Password: hash}))
	ring, err := keys.NewRing(keys.Generate())
	must(tb, err)
	secret, err := jose.NewSecret("k", jose.HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(tb, err)
	signing, err := jose.NewKeySet(secret)
	must(tb, err)
	store := over(tb, db, &cached.Options{TTL: cached.MaxTTL})
	tokens, err := token.New(store, ring, nil)
	must(tb, err)
	devices, err := knox.New(store, &knox.Options{MinInterval: time.Hour})
	must(tb, err)
	jwts, err := jwt.New("https://bench.example", "https://bench.example/api", signing, store, &jwt.Options{AccessTTL: time.Hour})
	must(tb, err)
	site, err := csrf.New("https://bench.example", nil)
	must(tb, err)
	browsers, err := session.New(store, site, &session.Options{Interval: time.Hour})
	must(tb, err)
	grants, err := oauth2.New("https://bench.example/oauth2", store, nil)
	must(tb, err)
	checker, err := password.New(store, hasher, &password.Options{InsecureNoLimiter: true})
	must(tb, err)
	passwords, err := password.Cached(checker, &password.CacheOptions{TTL: password.MaxCacheTTL})
	must(tb, err)
	plain, err := basic.New(passwords, nil)
	must(tb, err)
	headers = benchHeaders(tb, ctx, store, tokens, devices, jwts, browsers)

	chain := authn.Chain{browsers, jwts, grants, devices, tokens}
	for _, add := range more {
		chain = append(chain, add(store, headers))
	}
	guard := authz.Require(authz.IsAuthenticated, authz.HasScope("read"))
	ours = authn.New(append(chain, plain), nil).Handler(guard.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if authn.FromContext(r.Context()).Subject != "id-alice" {
			tb.Error("not alice")
		}
	}))
	f := newFloor(1000)
	alice := &storage.User{ID: "id-alice"}
	for _, h := range headers {
		d := storage.DigestOf(textOf(h))
		f.put(d, alice)
	}
	var next http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(benchKey{}).(*storage.User).ID != "id-alice" {
			tb.Error("not alice")
		}
	})
	least = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := f.get(storage.DigestOf(textOf(r.Header)))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), benchKey{}, u)))
	})
	return ours, least, headers
}

func textOf(h http.Header) string {
	if text := h["Authorization"]; text != nil {
		return text[0]
	}
	return h["Cookie"][0]
}

// headersOnly is an answer that nobody reads.
type headersOnly struct{ h http.Header }

func (w headersOnly) Header() http.Header         { return w.h }
func (w headersOnly) Write(b []byte) (int, error) { return len(b), nil }
func (w headersOnly) WriteHeader(int)             {}

func hit(h http.Handler, header http.Header) func() {
	r := httptest.NewRequest("GET", "https://bench.example/", nil)
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 80), Port: 443})))
	r.Header, r.RemoteAddr = header, "192.0.2.1:40000"
	w := headersOnly{make(http.Header)}
	return func() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

// BenchmarkChain takes turns between ours and the floor, so that both meet the same load;
// "ratio" is the median over the turns.
func BenchmarkChain(b *testing.B) {
	ours, least, headers := gates(b)
	compare(b, ours, least, headers, "session", "jwt", "oauth2", "knox", "token", "basic")
}

// BenchmarkThirdParty is BenchmarkChain with a scheme of somebody else before basic, and the
// shipped token beside it.
func BenchmarkThirdParty(b *testing.B) {
	ours, least, headers := gates(b, func(store *cached.Store, headers map[string]http.Header) authn.Authenticator {
		text := texts.MustFormat("our").Encode(storage.DigestOf("third"))
		_, err := store.CreateCredential(b.Context(), storage.Credential{Purpose: "ours", Digest: storage.DigestOf(text), ID: "third", Subject: "id-alice", Scopes: []string{"read"}}, storage.CredentialLimit{})
		must(b, err)
		headers["ours"] = http.Header{"Authorization": {"ApiKey " + text}}
		return &ours{store: store}
	})
	compare(b, ours, least, headers, "token", "ours")
}

func compare(b *testing.B, ours, least http.Handler, headers map[string]http.Header, names ...string) {
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			one, other := hit(ours, headers[name]), hit(least, headers[name])
			one() // the first time it is not a hit
			const n = 256
			turn := func(f func()) float64 {
				begin := time.Now()
				for range n {
					f()
				}
				return float64(time.Since(begin).Nanoseconds()) / n
			}
			var hits, floors, ratios []float64
			for b.Loop() {
				h, f := turn(one), turn(other)
				hits, floors, ratios = append(hits, h), append(floors, f), append(ratios, h/f)
			}
			median := func(list []float64) float64 {
				slices.Sort(list)
				return list[len(list)/2]
			}
			b.ReportMetric(median(hits), "ns/hit")
			b.ReportMetric(median(floors), "ns/floor")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(testing.AllocsPerRun(100, one)-testing.AllocsPerRun(100, other), "more-allocs")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchHeaders makes a credential of each scheme.
func benchHeaders(b testing.TB, ctx context.Context, store cached.Base, tokens *token.Scheme, devices *knox.Scheme, jwts *jwt.Scheme, browsers *session.Scheme) map[string]http.Header {
	authorization := func(text string) http.Header { return http.Header{"Authorization": {text}} }
	out := make(map[string]http.Header)
	text, err := tokens.GetOrCreate(ctx, "id-alice", 0)
	must(b, err)
	out["token"] = authorization("Token " + text)
	text, _, err = devices.Issue(ctx, "id-alice", 0, knox.Token{Name: "phone"})
	must(b, err)
	out["knox"] = authorization("Knox " + text)
	pair, err := jwts.Issue(ctx, "id-alice", 0, nil)
	must(b, err)
	out["jwt"] = authorization("Bearer " + pair.Access)

	text = texts.MustFormat("vat").Encode(storage.DigestOf("access"))
	end := time.Now().Add(24 * time.Hour)
	must(b, store.CreateClient(ctx, storage.Client{ID: "c", Method: "none"}))
	must(b, store.CreateFamily(ctx, storage.Family{ID: "f", Purpose: "bench", Subject: "id-alice", Client: "c", Expires: end}, storage.Refresh{Digest: storage.DigestOf("r"), Expires: end}))
	must(b, store.CreateAccess(ctx, storage.AccessToken{Digest: storage.DigestOf(text), ID: "a", Family: "f", Client: "c", Subject: "id-alice", Scopes: []string{"read"}, Expires: end}))
	out["oauth2"] = authorization("Bearer " + text)

	r, w := httptest.NewRequest("POST", "https://bench.example/", nil), httptest.NewRecorder()
	must(b, browsers.Start(w, r, authn.Login{Subject: "id-alice", Name: "alice"}))
	c := w.Result().Cookies()[0]
	out["basic"] = authorization("Basic " + base64.StdEncoding.EncodeToString([]byte("alice:wonderland-42")))
	out["session"] = http.Header{"Cookie": {c.Name + "=" + c.Value}}
	return out
}

// A hit of each scheme, through the whole chain and a guard, is at most two allocations
// more than the floor.
func TestHitAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ours, least, headers := gates(t)
	for name, header := range headers {
		one, other := hit(ours, header), hit(least, header)
		one()
		if more := testing.AllocsPerRun(100, one) - testing.AllocsPerRun(100, other); more > 2 {
			t.Errorf("%s: %.0f allocations more than the floor", name, more)
		}
	}
}
