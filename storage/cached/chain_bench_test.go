package cached_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// BenchmarkChain is a whole request through the middleware and a chain of five schemes, for
// each scheme, over SQLite: with the cache and without it. The floor is a handler that
// does with the same header what nobody can do without: a digest, a lookup under a
// sharded lock, one value in the request's context. The three take turns.
func BenchmarkChain(b *testing.B) {
	db, err := sqlite.Open(b.TempDir()+"/db", nil)
	must(b, err)
	b.Cleanup(func() { _ = db.Close() })
	must(b, db.Migrate(b.Context()))
	ctx := b.Context()
	must(b, db.CreateUser(ctx, storage.User{ID: "id-alice", Name: "alice", Active: true, Roles: []string{"staff"}}))
	ring, err := keys.NewRing(keys.Generate())
	must(b, err)
	secret, err := jose.NewSecret("k", jose.HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(b, err)
	signing, err := jose.NewRing(secret)
	must(b, err)

	var headers map[string]http.Header
	chain := func(store cached.Base) http.Handler {
		tokens, err := token.New(store, ring, nil)
		must(b, err)
		devices, err := knox.New(store, nil)
		must(b, err)
		jwts, err := jwt.New("https://bench.example", "https://bench.example/api", signing, store, &jwt.Options{AccessTTL: time.Hour})
		must(b, err)
		browsers, err := session.New(store, csrf.Loopback(), nil)
		must(b, err)
		grants, err := oauth2.New("https://bench.example/oauth2", store, &oauth2.Options{Scopes: map[string]string{"read": "Read"}})
		must(b, err)
		if headers == nil {
			headers = benchHeaders(b, ctx, store, tokens, devices, jwts, browsers)
		}
		return authn.New(authn.Chain{browsers, jwts, grants, devices, tokens}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !authn.FromContext(r.Context()).Authenticated() {
				b.Error("anonymous")
			}
		}))
	}
	without := chain(db)
	with := chain(over(b, db, &cached.Options{TTL: cached.MaxTTL}))
	least := newFloor(1000)
	d := storage.DigestOf("x")
	least.shards[d[0]&63].m = map[storage.Digest]*storage.User{d: {}}
	floor := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := r.Header["Authorization"]
		if text == nil {
			text = r.Header["Cookie"]
		}
		if u := least.get(storage.DigestOf(text[0])); u != nil {
			b.Error("found")
		}
		sink = r.WithContext(context.WithValue(r.Context(), benchKey{}, &d))
	})
	for _, name := range []string{"session", "jwt", "oauth2", "knox", "token"} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "http://127.0.0.1/", nil)
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}))
			r.Header = headers[name]
			turn := func(h http.Handler, n int) time.Duration {
				w := httptest.NewRecorder()
				begin := time.Now()
				for range n {
					h.ServeHTTP(w, r)
				}
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
				return time.Since(begin)
			}
			const n = 256
			var hit, query, none time.Duration
			count := 0
			for b.Loop() {
				hit, none, query = hit+turn(with, n), none+turn(floor, n), query+turn(without, n/16)
				count += n
			}
			b.ReportMetric(float64(hit.Nanoseconds())/float64(count), "ns/cached")
			b.ReportMetric(16*float64(query.Nanoseconds())/float64(count), "ns/store")
			b.ReportMetric(float64(none.Nanoseconds())/float64(count), "ns/floor")
			b.ReportMetric(float64(hit)/float64(none), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchHeaders makes a credential of each scheme.
func benchHeaders(b *testing.B, ctx context.Context, store cached.Base, tokens *token.Scheme, devices *knox.Scheme, jwts *jwt.Scheme, browsers *session.Scheme) map[string]http.Header {
	authorization := func(text string) http.Header { return http.Header{"Authorization": {text}} }
	out := make(map[string]http.Header)
	text, err := tokens.Token(ctx, "id-alice", 0)
	must(b, err)
	out["token"] = authorization("Token " + text)
	text, _, err = devices.Issue(ctx, "id-alice", 0, knox.Token{Name: "phone"})
	must(b, err)
	out["knox"] = authorization("Knox " + text)
	pair, err := jwts.Issue(ctx, "id-alice", 0, nil)
	must(b, err)
	out["jwt"] = authorization("Bearer " + pair.Access)

	text = tokentext.Encode("vat", storage.DigestOf("access"))
	end := time.Now().Add(24 * time.Hour)
	must(b, store.CreateClient(ctx, storage.Client{ID: "c", Method: "none"}))
	must(b, store.CreateFamily(ctx, storage.Family{ID: "f", Purpose: "bench", Subject: "id-alice", Client: "c", Expires: end}, storage.Refresh{Digest: storage.DigestOf("r"), Expires: end}))
	must(b, store.CreateAccess(ctx, storage.AccessToken{Digest: storage.DigestOf(text), ID: "a", Family: "f", Client: "c", Subject: "id-alice", Scopes: []string{"read"}, Expires: end}))
	out["oauth2"] = authorization("Bearer " + text)

	r, w := httptest.NewRequest("POST", "http://127.0.0.1/", nil), httptest.NewRecorder()
	must(b, browsers.LogIn(w, r, authn.Login{Subject: "id-alice", Name: "alice"}))
	c := w.Result().Cookies()[0]
	out["session"] = http.Header{"Cookie": {c.Name + "=" + c.Value}}
	return out
}
