package oauth2_test

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
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// navigates sends a GET of the authorization endpoint as a browser does: after a click of the
// user, or because of a script of some page.
func (w *world) navigates(id *authn.Identity, clicked bool, query string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", issuer+"/oauth2/authorize?"+query, nil)
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
func (w *world) says(id *authn.Identity, handle string) *httptest.ResponseRecorder {
	return w.authorize(id, "POST", "", "handle="+url.QueryEscape(handle)+"&decision=allow")
}

func withDPoPLimits(o *oauth2.Options) { withSessions(o); withLimits(o) }

// A page of another site that makes the browser open the endpoint again and again keeps the user
// from nothing, and leaves a bounded number of records.
func TestForeignPageOpensPages(t *testing.T) {
	const pages = 100
	each(t, func(t *testing.T, s store) {
		t.Run("attack_260_pages", func(t *testing.T) {
			w := newWorld(t, s, withDPoPLimits)
			must(t, s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
			alice, elsewhere, bob := w.alice("s1"), w.alice("s2"), &authn.Identity{Subject: "id-bob", Credential: login{"s3", 0}}
			owners := map[string]string{
				"by a click":                  handleOf(t, w.navigates(alice, true, query("app"))),
				"of another client":           handleOf(t, w.navigates(alice, false, query("other"))),
				"in another session":          handleOf(t, w.navigates(elsewhere, false, query("app"))),
				"of another user":             handleOf(t, w.navigates(bob, false, query("app"))),
				"of a browser without a word": handleOf(t, w.authorize(alice, "GET", query("spa"), "")),
			}
			var flood []string
			for n := range pages + 30 {
				rec := w.navigates(alice, false, query("app"))
				if rec.Code != 200 {
					t.Fatalf("page %d: %d %s", n, rec.Code, rec.Body)
				}
				flood = append(flood, handleOf(t, rec))
			}
			for what, handle := range owners {
				id := map[string]*authn.Identity{"in another session": elsewhere, "of another user": bob}[what]
				if id == nil {
					id = alice
				}
				if rec := w.says(id, handle); rec.Code != 303 {
					t.Errorf("the page %s: %d %s", what, rec.Code, rec.Body)
				}
			}
			if rec := w.says(alice, flood[0]); rec.Code != 400 || !strings.Contains(rec.Body.String(), "too old") {
				t.Errorf("the oldest page: %d %s", rec.Code, rec.Body)
			}
			if rec := w.says(alice, flood[len(flood)-1]); rec.Code != 303 {
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
		w := newDevices(t, memory.New(nil), withDPoPLimits)
		alice := w.alice("s1")
		b := w.begin()
		handle := handleOf(t, w.device(alice, "POST", "user_code="+url.QueryEscape(b.User)))
		for range 300 {
			w.navigates(alice, false, query("app"))
		}
		if rec := w.device(alice, "POST", "handle="+url.QueryEscape(handle)+"&decision=allow"); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		b = w.begin()
		handleOf(t, w.device(alice, "POST", "user_code="+url.QueryEscape(b.User)))
	})
}

// dropping fails to drop pages, or counts those that are dropped though the browser left.
type dropping struct {
	store
	fails   atomic.Bool
	dropped atomic.Int64
	leaves  func()
}

func (d *dropping) TakeAuthRequest(ctx context.Context, digest storage.Digest) error {
	if d.fails.Load() {
		return errDown
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.dropped.Add(1)
	return d.store.TakeAuthRequest(ctx, digest)
}

func (d *dropping) CreateAuthRequest(ctx context.Context, a storage.AuthRequest) error {
	return d.store.CreateAuthRequest(context.WithoutCancel(ctx), a) // a commit whose answer nobody waits for
}

func TestDroppedPages(t *testing.T) {
	open := func(t *testing.T) (*world, *dropping, *authn.Identity) {
		d := &dropping{store: memory.New(nil)}
		w := newWorld(t, d, func(o *oauth2.Options) {
			withDPoPLimits(o)
			o.Token = func(authn.Identity) string { // before the page is stored
				if d.leaves != nil {
					d.leaves()
				}
				return "token"
			}
		})
		alice := w.alice("s1")
		for range 100 {
			handleOf(t, w.navigates(alice, false, query("app")))
		}
		return w, d, alice
	}
	t.Run("attack_260_the browser leaves", func(t *testing.T) {
		w, d, alice := open(t)
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			d.leaves = cancel
			r := httptest.NewRequest("GET", issuer+"/oauth2/authorize?"+query("app"), nil)
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
			if rec := w.navigates(alice, false, query("app")); rec.Code != 503 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
		}
		d.fails.Store(false)
		handle := handleOf(t, w.navigates(alice, false, query("app")))
		if n := d.dropped.Load(); n != 1 {
			t.Errorf("%d pages were dropped", n)
		}
		if rec := w.says(alice, handle); rec.Code != 303 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
	t.Run("expired pages", func(t *testing.T) {
		w, d, alice := open(t)
		w.pass(11 * time.Minute)
		for range 100 {
			w.navigates(alice, false, query("app"))
		}
		if n := d.dropped.Load(); n != 0 {
			t.Errorf("%d pages were dropped", n)
		}
	})
	t.Run("attack_260_many users", func(t *testing.T) {
		if pages, users := oauth2.Waiting(100_100, 1); pages > 100_000 || users > 100_000 {
			t.Errorf("%d pages of %d users are remembered", pages, users)
		}
		if pages, users := oauth2.Waiting(1_100, 110); pages > 100_000 || users < 900 {
			t.Errorf("%d pages of %d users are remembered", pages, users)
		}
	})
}

// Where the user was asked before, too many requests bring the page back: no site can keep the
// user from logging in, with this client or another one.
func TestForeignPageGetsCodes(t *testing.T) {
	t.Run("attack_260_codes", func(t *testing.T) {
		s := memory.New(nil)
		w := newWorld(t, s, func(o *oauth2.Options) { withDPoPLimits(o); o.RememberConsent = 24 * time.Hour })
		alice := w.alice("s1")
		for _, client := range []string{"app", "other"} {
			pairs := []string{}
			if client == "other" {
				pairs = []string{"client_secret", w.secrets["other"]}
			}
			handle := handleOf(t, w.navigates(alice, true, query(client)))
			v := sent(t, w.says(alice, handle), redirect)
			got := w.post(w.Token(), client, append([]string{"grant_type", "authorization_code", "code", v.Get("code"), "redirect_uri", redirect, "code_verifier", verifier}, pairs...)...)
			if got.Status != 200 {
				t.Fatalf("%s: %s", client, got.Body)
			}
		}
		silent := 0
		for n := range 300 {
			switch rec := w.navigates(alice, false, query("app")); {
			case rec.Code == 303 && sent(t, rec, redirect).Get("code") != "":
				silent++
			case rec.Code != 200:
				t.Fatalf("request %d: %d %s", n, rec.Code, rec.Body)
			}
		}
		if silent != 60 {
			t.Errorf("%d codes without a page", silent)
		}
		if v := sent(t, w.navigates(alice, true, query("other")), redirect); v.Get("code") == "" {
			t.Errorf("another client: %v", v)
		}
		if v := sent(t, w.navigates(alice, true, query("app", "prompt", "none")), redirect); v.Get("error") != "consent_required" {
			t.Errorf("without a page: %v", v)
		}
		handle := handleOf(t, w.navigates(alice, true, query("app")))
		if v := sent(t, w.says(alice, handle), redirect); v.Get("code") == "" {
			t.Errorf("by the page: %v", v)
		}
		w.pass(time.Minute)
		if v := sent(t, w.navigates(alice, true, query("app")), redirect); v.Get("code") == "" {
			t.Errorf("a minute later: %v", v)
		}
	})
	t.Run("attack_260_answered pages", func(t *testing.T) { // which only the user's own browser sends
		w := newWorld(t, memory.New(nil), withDPoPLimits)
		alice, codes, refused := w.alice("s1"), 0, 0
		for range 400 {
			handle := handleOf(t, w.navigates(alice, true, query("app")))
			switch rec := w.says(alice, handle); rec.Code {
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
