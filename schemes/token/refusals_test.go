package token_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// The body and the challenge of rejections: Django REST Framework's texts with any keyword, RFC
// 6750 with Bearer. TestWire checks more headers.
func TestRefusals(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	r := schemetest.Ring(t)
	good, err := scheme(t, s, r, nil).GetOrCreate(t.Context(), "id-alice", 0)
	schemetest.Must(t, err)
	const (
		empty   = `{"detail":"Invalid token header. No credentials provided."}`
		spaces  = `{"detail":"Invalid token header. Token string should not contain spaces."}`
		utf8    = `{"detail":"Invalid token header. Token string should not contain invalid characters."}`
		invalid = `{"detail":"Invalid token."}`
		bad     = `{"detail":"The Authorization header is malformed."}`
		bearer  = `Bearer realm="api", error="invalid_token"`
	)
	for _, x := range []struct {
		opts      token.Options
		header    string
		status    int
		body      string
		challenge string
	}{
		{token.Options{}, "Token " + good, 200, "", ""},
		{token.Options{}, "tOKEN \t" + good + " ", 200, "", ""},
		{token.Options{}, "Token", 401, empty, "Token"},
		{token.Options{}, "Token a b", 401, spaces, "Token"},
		{token.Options{}, "Token \xff\xfe", 401, utf8, "Token"},
		{token.Options{}, "Token junk", 401, invalid, "Token"},
		{token.Options{Realm: "staff"}, "Token junk", 401, invalid, `Token realm="staff"`},
		{token.Options{}, "", 401, `{"detail":"Authentication credentials were not provided."}`, "Token"},
		{token.Options{}, "Basic YTpi", 401, `{"detail":"Authentication credentials were not provided."}`, "Token"},
		{token.Options{Format: token.Hex40}, "Token " + strings.Repeat("a", 40), 401, invalid, "Token"},
		{token.Options{Format: token.Hex40}, "Token " + strings.Repeat("A", 40), 401, invalid, "Token"},
		{token.Options{Format: token.Hex40}, "Token " + good, 401, invalid, "Token"},
		{token.Options{Keyword: "X-Key"}, "x-key " + good, 200, "", ""},
		{token.Options{Keyword: "Bearer", Realm: "api"}, "bearer " + good, 200, "", ""},
		{token.Options{Keyword: "Bearer", Realm: "api"}, "Bearer", 400, bad, ""},
		{token.Options{Keyword: "Bearer", Realm: "api"}, "Bearer \t" + good, 400, bad, ""},
		{token.Options{Keyword: "Bearer", Realm: "api"}, "Bearer " + good + " ", 400, bad, ""},
		{token.Options{Keyword: "Bearer", Realm: "api"}, "Bearer a,b", 400, bad, ""},
		{token.Options{Keyword: "Bearer", Realm: "api"}, "Bearer vst_junk", 401, invalid, bearer},
		{token.Options{Keyword: "Bearer", Realm: "api"}, "Bearer junk", 401, invalid, bearer},
		{token.Options{Keyword: "Bearer", Realm: "api"}, "Bearer " + schemetest.Tampered(good), 401, invalid, bearer},
		{token.Options{Keyword: "bEARER"}, "Bearer " + schemetest.Tampered(good), 401, invalid, `bEARER error="invalid_token"`},
		{token.Options{Keyword: "Bearer", Realm: "api"}, "", 401, `{"detail":"Authentication credentials were not provided."}`, `Bearer realm="api"`},
	} {
		w := schemetest.Guarded(scheme(t, s, r, &x.opts), schemetest.With(x.header))
		if w.Code != x.status || w.Body.String() != x.body || w.Header().Get("WWW-Authenticate") != x.challenge {
			t.Errorf("%+v, %.40q: %d %s %q", x.opts, x.header, w.Code, w.Body, w.Header().Get("WWW-Authenticate"))
		}
	}
}

// No error and no log line holds a token, a salt or a digest.
func TestNothingIsTold(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	x := scheme(t, s, schemetest.Ring(t), &token.Options{Logger: logger})
	good, err := x.GetOrCreate(t.Context(), "id-alice", 0)
	schemetest.Must(t, err)
	row, err := s.StaticTokenOf(t.Context(), "id-alice")
	schemetest.Must(t, err)
	ask := func(x *token.Scheme, text string) {
		id, err := x.Authenticate(schemetest.With("Token " + text))
		fmt.Fprintf(&log, "%v %+v %#v\n", err, err, id.Credential)
		h := authn.New(x, &authn.Options{Logger: logger, Trace: true}).Handler(http.NotFoundHandler())
		h.ServeHTTP(httptest.NewRecorder(), schemetest.With("Token "+text))
	}
	ask(x, good)
	ask(x, schemetest.Tampered(good))
	ask(x, "junk-"+good)
	ask(scheme(t, s, schemetest.Ring(t), nil), good)
	ask(scheme(t, schemetest.Watch(s).Fail(errors.New("down")), schemetest.Ring(t), nil), good)
	_, err = s.BumpEpoch(t.Context(), "id-alice")
	schemetest.Must(t, err)
	ask(x, good)
	schemetest.Must(t, s.SetActive(t.Context(), "id-alice", false))
	ask(x, good)
	fmt.Fprintf(&log, "%+v %#v", x, row)
	schemetest.Untold(t, log.String(), good, row.Digest)
}

// Any text after the keyword causes at most one call of the store, and only the token itself is
// accepted.
func FuzzAuthenticate(f *testing.F) {
	type world struct {
		x     *token.Scheme
		calls *schemetest.Watched
		good  string
	}
	var worlds []world
	for _, format := range []token.Format{token.Prefixed, token.Hex40} {
		s := memory.New(nil)
		schemetest.Add(f, s, "alice")
		c := schemetest.Watch(s)
		x := scheme(f, c, sharedRing, &token.Options{Format: format})
		good, err := x.GetOrCreate(f.Context(), "id-alice", 0)
		schemetest.Must(f, err)
		worlds = append(worlds, world{x, c, good})
		for _, seed := range []string{good, good[:len(good)-1], good + good, strings.ToUpper(good), good + "=", schemetest.Tampered(good)} {
			f.Add(seed)
		}
		for i := range good {
			b := []byte(good)
			b[i] ^= 1
			f.Add(string(b))
		}
	}
	f.Add("")
	f.Add("a\x00\xff")
	f.Fuzz(func(t *testing.T, text string) {
		for _, w := range worlds {
			before := w.calls.Calls()
			id, err := w.x.Authenticate(schemetest.With("Token " + text))
			calls := w.calls.Calls() - before
			if taken := strings.Trim(text, " \t\n\v\f\r") == w.good; taken != (err == nil) || taken != (id.Subject == "id-alice") || calls > 1 {
				t.Errorf("%q: %+v, %v, %d calls", text, id, err, calls)
			}
			var e *authn.Error
			if err != nil && !errors.Is(err, authn.ErrUnrecognized) && (!errors.As(err, &e) || e.Status != 401) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
