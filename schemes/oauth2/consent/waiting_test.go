package consent_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// navigates sends a GET of the authorization endpoint as a browser does: after a click of the
// user, or because of a script of some page.
func navigates(w *oauthtest.World, id *authn.Identity, clicked bool, query string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", oauthtest.Issuer+"/oauth2/authorize?"+query, nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if clicked {
		r.Header.Set("Sec-Fetch-User", "?1")
	}
	rec := httptest.NewRecorder()
	w.Authorize("/login").ServeHTTP(rec, authntest.As(r, *id))
	return rec
}

// decides answers a consent page with yes.
func says(w *oauthtest.World, id *authn.Identity, handle string) *httptest.ResponseRecorder {
	return w.Authorizes(id, "POST", "", "handle="+url.QueryEscape(handle)+"&decision=allow")
}

func withDPoPLimits(o *oauthtest.Options) { oauthtest.WithSessions(o); oauthtest.WithLimits(o) }

// A page of another site that makes the browser open the endpoint again and again keeps the user
// from nothing, and leaves a bounded number of records.
func TestForeignPageOpensPages(t *testing.T) {
	const pages = 100
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		t.Run("attack_260_pages", func(t *testing.T) {
			w := oauthtest.NewWorld(t, s, withDPoPLimits)
			oauthtest.Must(t, s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
			alice, elsewhere, bob := w.Alice("s1"), w.Alice("s2"), &authn.Identity{Subject: "id-bob", Credential: oauthtest.Login{Session: "s3"}}
			owners := map[string]string{
				"by a click":                  oauthtest.HandleOf(t, navigates(w, alice, true, oauthtest.Query("app"))),
				"of another client":           oauthtest.HandleOf(t, navigates(w, alice, false, oauthtest.Query("other"))),
				"in another session":          oauthtest.HandleOf(t, navigates(w, elsewhere, false, oauthtest.Query("app"))),
				"of another user":             oauthtest.HandleOf(t, navigates(w, bob, false, oauthtest.Query("app"))),
				"of a browser without a word": oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("spa"), "")),
			}
			var flood []string
			for n := range pages + 30 {
				rec := navigates(w, alice, false, oauthtest.Query("app"))
				if rec.Code != 200 {
					t.Fatalf("page %d: %d %s", n, rec.Code, rec.Body)
				}
				flood = append(flood, oauthtest.HandleOf(t, rec))
			}
			for what, handle := range owners {
				id := map[string]*authn.Identity{"in another session": elsewhere, "of another user": bob}[what]
				if id == nil {
					id = alice
				}
				if rec := says(w, id, handle); rec.Code != 303 {
					t.Errorf("the page %s: %d %s", what, rec.Code, rec.Body)
				}
			}
			if rec := says(w, alice, flood[0]); rec.Code != 400 || !strings.Contains(rec.Body.String(), "too old") {
				t.Errorf("the oldest page: %d %s", rec.Code, rec.Body)
			}
			if rec := says(w, alice, flood[len(flood)-1]); rec.Code != 303 {
				t.Errorf("the newest page: %d %s", rec.Code, rec.Body)
			}
			live := 0
			for _, handle := range flood {
				if _, err := s.AuthRequestByDigest(t.Context(), storage.DigestOf(handle)); err == nil {
					live++
				}
			}
			if live != pages-len(owners) { // four more of alice wait beside them, and the newest was answered
				t.Errorf("%d of %d pages wait", live, len(flood))
			}
		})
	})
}

// Pages of the other endpoints are neither refused nor dropped.
func TestForeignPageBesideOtherPages(t *testing.T) {
	t.Run("attack_260_device", func(t *testing.T) {
		w := oauthtest.NewDevices(t, memory.New(nil), withDPoPLimits)
		alice := w.Alice("s1")
		b := w.Begin()
		handle := oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+url.QueryEscape(b.User)))
		for range 300 {
			navigates(w, alice, false, oauthtest.Query("app"))
		}
		if rec := w.DevicePage(alice, "POST", "handle="+url.QueryEscape(handle)+"&decision=allow"); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		b = w.Begin()
		oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+url.QueryEscape(b.User)))
	})
}

// dropping fails to drop pages, or counts those that are dropped though the browser left.
type dropping struct {
	oauthtest.Store
	fails   atomic.Bool
	dropped atomic.Int64
	leaves  func()
}

func (d *dropping) ConsumeAuthRequest(ctx context.Context, digest storage.Digest) error {
	if d.fails.Load() {
		return oauthtest.ErrDown
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.dropped.Add(1)
	return d.Store.ConsumeAuthRequest(ctx, digest)
}

func (d *dropping) CreateAuthRequest(ctx context.Context, a storage.AuthRequest) error {
	return d.Store.CreateAuthRequest(context.WithoutCancel(ctx), a) // a commit whose answer nobody waits for
}

func TestDroppedPages(t *testing.T) {
	open := func(t *testing.T) (*oauthtest.World, *dropping, *authn.Identity) {
		d := &dropping{Store: memory.New(nil)}
		w := oauthtest.NewWorld(t, d, func(o *oauthtest.Options) {
			withDPoPLimits(o)
			o.Token = func(authn.Identity) string { // before the page is stored
				if d.leaves != nil {
					d.leaves()
				}
				return "token"
			}
		})
		alice := w.Alice("s1")
		for range 100 {
			oauthtest.HandleOf(t, navigates(w, alice, false, oauthtest.Query("app")))
		}
		return w, d, alice
	}
	t.Run("attack_260_the browser leaves", func(t *testing.T) {
		w, d, alice := open(t)
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			d.leaves = cancel
			r := httptest.NewRequest("GET", oauthtest.Issuer+"/oauth2/authorize?"+oauthtest.Query("app"), nil)
			w.Authorize("/login").ServeHTTP(httptest.NewRecorder(), authntest.As(r.WithContext(ctx), *alice))
			if ctx.Err() == nil {
				t.Fatal("the browser stayed")
			}
		}
		if n := d.dropped.Load(); n != 20 {
			t.Errorf("%d pages were dropped", n)
		}
	})
	t.Run("attack_260_the store fails", func(t *testing.T) {
		w, d, alice := open(t)
		d.fails.Store(true)
		for range 3 {
			if rec := navigates(w, alice, false, oauthtest.Query("app")); rec.Code != 503 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
		}
		d.fails.Store(false)
		handle := oauthtest.HandleOf(t, navigates(w, alice, false, oauthtest.Query("app")))
		if n := d.dropped.Load(); n != 1 {
			t.Errorf("%d pages were dropped", n)
		}
		if rec := says(w, alice, handle); rec.Code != 303 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
	t.Run("expired pages", func(t *testing.T) {
		w, d, alice := open(t)
		w.Pass(11 * time.Minute)
		for range 100 {
			navigates(w, alice, false, oauthtest.Query("app"))
		}
		if n := d.dropped.Load(); n != 0 {
			t.Errorf("%d pages were dropped", n)
		}
	})
}

// Where the user was asked before, too many requests bring the page back: no site can keep the
// user from logging in, with this client or another one.
func TestForeignPageGetsCodes(t *testing.T) {
	t.Run("attack_260_codes", func(t *testing.T) {
		s := memory.New(nil)
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { withDPoPLimits(o); o.RememberConsent = 24 * time.Hour })
		alice := w.Alice("s1")
		for _, client := range []string{"app", "other"} {
			pairs := []string{}
			if client == "other" {
				pairs = []string{"client_secret", w.Secrets["other"]}
			}
			handle := oauthtest.HandleOf(t, navigates(w, alice, true, oauthtest.Query(client)))
			v := oauthtest.Sent(t, says(w, alice, handle), oauthtest.Redirect)
			got := w.Post(w.Token(), client, append([]string{"grant_type", "authorization_code", "code", v.Get("code"), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier}, pairs...)...)
			if got.Status != 200 {
				t.Fatalf("%s: %s", client, got.Body)
			}
		}
		silent := 0
		for n := range 300 {
			switch rec := navigates(w, alice, false, oauthtest.Query("app")); {
			case rec.Code == 303 && oauthtest.Sent(t, rec, oauthtest.Redirect).Get("code") != "":
				silent++
			case rec.Code != 200:
				t.Fatalf("request %d: %d %s", n, rec.Code, rec.Body)
			}
		}
		if silent != 60 {
			t.Errorf("%d codes without a page", silent)
		}
		if v := oauthtest.Sent(t, navigates(w, alice, true, oauthtest.Query("other")), oauthtest.Redirect); v.Get("code") == "" {
			t.Errorf("another client: %v", v)
		}
		if v := oauthtest.Sent(t, navigates(w, alice, true, oauthtest.Query("app", "prompt", "none")), oauthtest.Redirect); v.Get("error") != "consent_required" {
			t.Errorf("without a page: %v", v)
		}
		handle := oauthtest.HandleOf(t, navigates(w, alice, true, oauthtest.Query("app")))
		if v := oauthtest.Sent(t, says(w, alice, handle), oauthtest.Redirect); v.Get("code") == "" {
			t.Errorf("by the page: %v", v)
		}
		w.Pass(time.Minute)
		if v := oauthtest.Sent(t, navigates(w, alice, true, oauthtest.Query("app")), oauthtest.Redirect); v.Get("code") == "" {
			t.Errorf("a minute later: %v", v)
		}
	})
	t.Run("attack_260_answered pages", func(t *testing.T) { // which only the user's own browser sends
		w := oauthtest.NewWorld(t, memory.New(nil), withDPoPLimits)
		alice, codes, refused := w.Alice("s1"), 0, 0
		for range 400 {
			handle := oauthtest.HandleOf(t, navigates(w, alice, true, oauthtest.Query("app")))
			switch rec := says(w, alice, handle); rec.Code {
			case 303:
				codes++
			case 429:
				refused++
			default:
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
		}
		if codes != 300 || refused != 100 {
			t.Errorf("%d codes, %d refused", codes, refused)
		}
	})
}
