package benchmarks

import (
	"encoding/gob"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// discard is a ResponseWriter that keeps only headers, and forgets them.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// serve benches one prepared request with the cookies of a login.
func serve(b *testing.B, h http.Handler, cookies []*http.Cookie, found *bool) {
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	w := &discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		*found = false
		clear(w.h)
		h.ServeHTTP(w, r.WithContext(r.Context())) // gorilla keeps what it loaded in the request
		if !*found {
			b.Fatal("not logged in")
		}
	}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSession is a request whose cookie says who is logged in, with the sessions in
// memory; "copy" is what the copy of the request for each round costs by itself.
func BenchmarkSession(b *testing.B) {
	var found bool
	b.Run("copy", func(b *testing.B) {
		serve(b, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { found = true }), []*http.Cookie{{Name: "x", Value: "y"}}, &found)
	})
	b.Run("vestibule", func(b *testing.B) {
		db := memory.New(nil)
		must(b, db.CreateUser(b.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true}))
		site, err := csrf.New("https://app.example", nil)
		must(b, err)
		s, err := session.New(db, site, nil)
		must(b, err)
		w := httptest.NewRecorder()
		must(b, s.LogIn(w, httptest.NewRequest("POST", "https://app.example/login", nil), authn.Login{Subject: "id-alice"}))
		h := authn.New(authn.Chain{s}, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			found = authn.FromContext(r.Context()).Subject == "id-alice"
		}))
		serve(b, h, w.Result().Cookies(), &found)
	})
	b.Run("scs", func(b *testing.B) {
		m := scs.New()
		w := httptest.NewRecorder()
		m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			m.Put(r.Context(), "user", "id-alice")
		})).ServeHTTP(w, httptest.NewRequest("POST", "https://app.example/login", nil))
		h := m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			found = m.GetString(r.Context(), "user") == "id-alice"
		}))
		serve(b, h, w.Result().Cookies(), &found)
	})
	b.Run("gorilla_cookie", func(b *testing.B) {
		gob.Register(time.Time{})
		store := sessions.NewCookieStore(make([]byte, 32), make([]byte, 32))
		r, w := httptest.NewRequest("POST", "https://app.example/login", nil), httptest.NewRecorder()
		v, err := store.Get(r, "session")
		must(b, err)
		v.Values["user"] = "id-alice"
		must(b, v.Save(r, w))
		h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			v, err := store.Get(r, "session")
			found = err == nil && v.Values["user"] == "id-alice"
		})
		serve(b, h, w.Result().Cookies(), &found)
	})
}
