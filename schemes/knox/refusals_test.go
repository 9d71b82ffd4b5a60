package knox_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// The body and the challenge of rejections. TestWire checks more headers.
func TestRefusals(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	var c schemetest.Clock
	issuer := scheme(t, s, &knox.Options{Clock: c.Now})
	good, _ := issue(t, issuer, "id-alice", knox.Token{})
	expired, _ := issue(t, issuer, "id-alice", knox.Token{TTL: time.Minute})
	c.Set(time.Minute)
	const (
		empty   = `{"detail":"Invalid token header. No credentials provided."}`
		spaces  = `{"detail":"Invalid token header. Token string should not contain spaces."}`
		utf8    = `{"detail":"Invalid token header. Token string should not contain invalid characters."}`
		invalid = `{"detail":"Invalid token."}`
		none    = `{"detail":"Authentication credentials were not provided."}`
		bad     = `{"detail":"The Authorization header is malformed."}`
		bearer  = `Bearer realm="api", error="invalid_token"`
	)
	only := func(keywords ...string) knox.Options { return knox.Options{Keywords: keywords} }
	api := knox.Options{Keywords: []string{"Bearer", "Knox"}, Realm: "api"}
	for _, x := range []struct {
		opts      knox.Options
		header    string
		status    int
		body      string
		challenge string
	}{
		{knox.Options{}, "Knox " + good, 200, "", ""},
		{knox.Options{}, "kNOX \t" + good + " ", 200, "", ""},
		{knox.Options{}, "Token " + good, 200, "", ""},
		{knox.Options{}, "bearer " + good, 200, "", ""},
		{knox.Options{}, "Knox", 401, empty, "Knox"},
		{knox.Options{}, "Knox a b", 401, spaces, "Knox"},
		{knox.Options{}, "Knox \xff\xfe", 401, utf8, "Knox"},
		{knox.Options{}, "Knox junk", 401, invalid, "Knox"},
		{knox.Options{}, "Token junk", 401, invalid, "Knox"},
		{knox.Options{}, "Bearer junk", 401, invalid, "Knox"},
		{knox.Options{}, "Knox " + schemetest.Tampered(good), 401, invalid, "Knox"},
		{knox.Options{}, "Knox " + expired, 401, invalid, "Knox"},
		{knox.Options{}, "Bearer " + expired, 401, invalid, "Knox"},
		{knox.Options{}, "Bearer \t" + good, 400, bad, ""},
		{knox.Options{}, "Basic YTpi", 401, none, "Knox"},
		{knox.Options{}, "", 401, none, "Knox"},
		{knox.Options{Realm: "staff"}, "Knox junk", 401, invalid, `Knox realm="staff"`},
		{knox.Options{Prefix: "abc"}, "Knox " + good, 401, invalid, "Knox"},
		{only("Knox"), "Token " + good, 401, none, "Knox"},
		{only("X-Key", "Knox"), "x-key " + good, 200, "", ""},
		{only("X-Key", "Knox"), "Knox " + expired, 401, invalid, "X-Key"},
		{only("bEARER"), "Bearer " + expired, 401, invalid, `bEARER error="invalid_token"`},
		{api, "Bearer " + expired, 401, invalid, bearer},
		{api, "Bearer junk", 401, invalid, bearer},
		{api, "", 401, none, `Bearer realm="api"`},
	} {
		x.opts.Clock = c.Now
		w := schemetest.Guarded(scheme(t, s, &x.opts), schemetest.With(x.header))
		if w.Code != x.status || w.Body.String() != x.body || w.Header().Get("WWW-Authenticate") != x.challenge {
			t.Errorf("%+v, %.40q: %d %s %q", x.opts, x.header, w.Code, w.Body, w.Header().Get("WWW-Authenticate"))
		}
	}
}

// With a shared keyword each scheme of a chain accepts its own format, in any order of the chain.
// Credentials that no scheme accepts are rejected.
func TestSharedKeywords(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	x := scheme(t, s, nil)
	y := scheme(t, s, &knox.Options{Prefix: "abc", Keywords: []string{"Token", "Bearer"}})
	a, _ := issue(t, x, "id-alice", knox.Token{})
	b, _ := issue(t, y, "id-alice", knox.Token{})
	for _, chain := range []authn.Chain{{x, y}, {y, x}} {
		schemetest.Must(t, authn.Check(chain))
		for _, value := range []string{"Token " + a, "Token " + b, "Bearer " + a, "Bearer " + b, "Knox " + a} {
			if id, err := chain.Authenticate(schemetest.With(value)); err != nil || id.Subject != "id-alice" {
				t.Errorf("%.12s: %v", value, err)
			}
		}
		for _, value := range []string{"Knox " + b, "Token junk", "Bearer junk", "Bearer e30.e30.e30"} {
			_, err := chain.Authenticate(schemetest.With(value))
			var e *authn.Error
			if !errors.As(err, &e) || e.Status != 401 {
				t.Errorf("%.12s: %v", value, err)
			}
		}
	}
	for _, value := range []string{"Token junk", "Bearer e30.e30.e30", "Knox junk", "Knox " + b} {
		if _, err := x.Authenticate(schemetest.With(value)); !errors.Is(err, authn.ErrUnrecognized) {
			t.Errorf("%.12s: %v, want ErrUnrecognized", value, err)
		}
	}
	if err := authn.Check(authn.Chain{x, scheme(t, s, &knox.Options{Keywords: []string{"token"}})}); err == nil {
		t.Error("two schemes of the same keyword and shape stand in one chain")
	}
}

// The scheme shares a keyword with static tokens.
func TestBesideStaticTokens(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	schemetest.Add(t, s, "bob")
	static, err := token.New(s, schemetest.Ring(t), nil)
	schemetest.Must(t, err)
	x := scheme(t, s, nil)
	device, _ := issue(t, x, "id-alice", knox.Token{})
	stable, err := static.GetOrCreate(t.Context(), "id-bob", 0)
	schemetest.Must(t, err)
	for _, chain := range []authn.Chain{{x, static}, {static, x}} {
		schemetest.Must(t, authn.Check(chain))
		for text, want := range map[string]string{device: "knox id-alice", stable: "token id-bob"} {
			if id, err := chain.Authenticate(schemetest.With("Token " + text)); err != nil || id.Scheme+" "+id.Subject != want {
				t.Errorf("%s: %+v, %v", want, id, err)
			}
			if _, err := chain.Authenticate(schemetest.With("Token " + schemetest.Tampered(text))); err == nil || errors.Is(err, authn.ErrNoCredentials) {
				t.Errorf("%s, tampered: %v", want, err)
			}
		}
		if _, err := chain.Authenticate(schemetest.With("Knox " + stable)); err == nil || errors.Is(err, authn.ErrNoCredentials) {
			t.Errorf("a static token under Knox: %v", err)
		}
	}
}

// No error, event or log line holds a token or a digest.
func TestNothingIsTold(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	var log strings.Builder
	var j schemetest.Journal
	var c schemetest.Clock
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	x := scheme(t, s, &knox.Options{Logger: logger, Audit: audit.To(j.Observe), Clock: c.Now})
	good, rec := issue(t, x, "id-alice", knox.Token{})
	ask := func(x *knox.Scheme, text string) {
		id, err := x.Authenticate(schemetest.With("Knox " + text))
		fmt.Fprintf(&log, "%v %+v %#v\n", err, err, id.Credential)
		h := authn.New(x, &authn.Options{Logger: logger, Trace: true}).Handler(http.NotFoundHandler())
		h.ServeHTTP(httptest.NewRecorder(), schemetest.With("Knox "+text))
	}
	ask(x, good)
	ask(x, schemetest.Tampered(good))
	ask(x, "junk-"+good)
	ask(scheme(t, schemetest.Watch(s).Fail(errors.New("down"), reads()...), &knox.Options{Logger: logger}), good)
	ask(scheme(t, schemetest.Watch(s).Fail(errors.New("down"), schemetest.Writes()...), &knox.Options{Logger: logger, Audit: audit.To(j.Observe)}), good)
	c.Set(11 * time.Hour)
	ask(x, good)
	_, err := s.BumpEpoch(t.Context(), "id-alice")
	schemetest.Must(t, err)
	ask(x, good)
	fmt.Fprintf(&log, "%+v %#v %+v", x, rec, j.Events())
	schemetest.Untold(t, log.String(), good, rec.Digest)
}

// Any text after a keyword causes at most one call of the store, and only the token itself is
// accepted.
func FuzzAuthenticate(f *testing.F) {
	c := schemetest.Watch(memory.New(nil))
	schemetest.Add(f, c, "alice")
	x := scheme(f, c, nil)
	good, _ := issue(f, x, "id-alice", knox.Token{})
	for i, seed := range []string{"", "a\x00\xff", good, good[:len(good)-1], good + good, strings.ToUpper(good), good + "=", schemetest.Tampered(good), " " + good} {
		f.Add(uint8(i), seed)
	}
	for i := range good {
		b := []byte(good)
		b[i] ^= 1
		f.Add(uint8(0), string(b))
	}
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		keyword := [...]string{"Knox", "Token", "Bearer"}[n%3]
		before := c.Calls("CredentialByDigest")
		id, err := x.Authenticate(schemetest.With(keyword + " " + text))
		calls := c.Calls("CredentialByDigest") - before
		taken := strings.TrimLeft(text, " ") == good
		if keyword != "Bearer" {
			taken = strings.Trim(text, " \t\n\v\f\r") == good
		}
		if taken != (err == nil) || taken != (id.Subject == "id-alice") || calls > 1 {
			t.Errorf("%q: %+v, %v, %d calls", text, id, err, calls)
		}
		var e *authn.Error
		if err != nil && !errors.Is(err, authn.ErrUnrecognized) && (!errors.As(err, &e) || e.Status != 401 && e.Status != 400) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
