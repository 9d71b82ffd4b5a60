package oauth2_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// changed returns a token with another letter at one place.
func changed(token string) string {
	letter := "x"
	if token[20] == 'x' {
		letter = "y"
	}
	return token[:20] + letter + token[21:]
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// store is what the tests need of one.
type store interface {
	oauth2.Store
	storage.Accounts
	storage.Subjects
}

// each runs f on every kind of store.
func each(t *testing.T, f func(t *testing.T, s store)) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) { f(t, s) })
	t.Run("cached", func(t *testing.T) {
		s, err := cached.New(memory.New(nil), &cached.Options{TTL: cached.MaxTTL, Clock: func() time.Time { return born }})
		must(t, err)
		f(t, s)
	})
}

// faulty fails where it is told to.
type faulty struct {
	store
	fail       atomic.Bool
	noConsents atomic.Bool
	failUse    atomic.Bool
}

var errDown = errors.New("the database is down")

func (f *faulty) down() error {
	if f.fail.Load() {
		return errDown
	}
	return nil
}

func (f *faulty) ClientByID(ctx context.Context, id string) (storage.Client, error) {
	if err := f.down(); err != nil {
		return storage.Client{}, err
	}
	return f.store.ClientByID(ctx, id)
}

func (f *faulty) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	if err := f.down(); err != nil {
		return storage.AccessState{}, err
	}
	return f.store.AccessByDigest(ctx, d)
}

func (f *faulty) ListFamilies(ctx context.Context, purpose, subject string, limit int) ([]storage.Family, error) {
	if err := f.down(); err != nil {
		return nil, err
	}
	return f.store.ListFamilies(ctx, purpose, subject, limit)
}

func (f *faulty) PutConsent(ctx context.Context, c storage.Consent) error {
	if f.noConsents.Load() {
		return errDown
	}
	return f.store.PutConsent(ctx, c)
}

func (f *faulty) ConsentOf(ctx context.Context, subject, client string) (storage.Consent, error) {
	if f.noConsents.Load() {
		return storage.Consent{}, errDown
	}
	return f.store.ConsentOf(ctx, subject, client)
}

func (f *faulty) DropConsent(ctx context.Context, subject, client string) error {
	if f.noConsents.Load() {
		return errDown
	}
	return f.store.DropConsent(ctx, subject, client)
}

func (f *faulty) FirstUse(ctx context.Context, key storage.BlockKey, now, until time.Time) error {
	if f.failUse.Load() {
		return errDown
	}
	return f.store.FirstUse(ctx, key, now, until)
}

const (
	issuer   = "https://auth.example"
	redirect = "https://app.example/cb"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636 appendix B
)

func challengeOf(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// world is a server over a store with alice and a few clients: "app" with a secret, "spa"
// without, "other" with a secret of its own, "api", which introspects.
type world struct {
	*oauth2.Server
	front   *authn.Middleware
	t       testing.TB
	s       *faulty
	now     atomic.Int64 // microseconds after the beginning
	secrets map[string]string
	mu      sync.Mutex
	events  []string
	log     strings.Builder
	n       atomic.Int64
}

func newWorld(t testing.TB, s store, change func(*oauth2.Options)) *world {
	t.Helper()
	w := &world{t: t, s: &faulty{store: s}, secrets: map[string]string{}}
	o := oauth2.Options{
		Scopes: map[string]string{"read": "Read", "write": "Write", "admin": "All"}, Audience: "https://api.example",
		Clock: w.clock, Logger: slog.New(slog.NewTextHandler(&locked{w: w}, nil)), InsecureNoLimits: true, // many requests from one address
		Observe: func(_ context.Context, e oauth2.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, string(e.Kind))
		},
	}
	if change != nil {
		change(&o)
	}
	var err error
	w.Server, err = oauth2.New(issuer, w.s, &o)
	must(t, err)
	must(t, s.CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true, Roles: []string{"admin"}}))
	for _, c := range []storage.Client{
		{ID: "app", Method: oauth2.SecretBasic, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.ClientCredentials},
			Scopes: []string{"read", "write"}, Default: []string{"read"}, Resources: []string{"https://api.example", "https://files.example"}},
		{ID: "spa", Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.ClientCredentials}, Scopes: []string{"read"}},
		{ID: "other", Method: oauth2.SecretPost, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"}},
		{ID: "api", Method: oauth2.SecretBasic, Serves: []string{"https://api.example"}},
	} {
		c.RedirectURIs = []string{redirect}
		if !c.Public() {
			w.secrets[c.ID], c.Secret, err = oauth2.NewSecret()
			must(t, err)
		}
		must(t, s.CreateClient(t.Context(), c))
	}
	return w
}

// locked writes the log one line at a time.
type locked struct{ w *world }

func (l *locked) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.log.Write(b)
}

var born = time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)

func (w *world) clock() time.Time     { return born.Add(time.Duration(w.now.Load()) * time.Microsecond) }
func (w *world) pass(d time.Duration) { w.now.Add(d.Microseconds()) }

// take returns the events since the last time.
func (w *world) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.Join(w.events, " ")
	w.events = nil
	return s
}

// code makes an authorization code as the authorization endpoint would.
func (w *world) code(client string, change func(*storage.Code)) string {
	w.t.Helper()
	var body [tokentext.Size]byte
	copy(body[:], fmt.Sprint("code ", w.n.Add(1)))
	text := tokentext.Encode("vac", body)
	epoch, err := w.s.SubjectEpoch(w.t.Context(), "id-alice")
	must(w.t, err)
	c := storage.Code{
		Digest: storage.DigestOf(text), Client: client, Subject: "id-alice", Epoch: epoch, RedirectURI: redirect, Scopes: []string{"read"},
		Challenge: challengeOf(verifier), AuthTime: w.clock(), Created: w.clock(), Expires: w.clock().Add(time.Minute), Kept: w.clock().Add(time.Hour),
	}
	if change != nil {
		change(&c)
	}
	must(w.t, w.s.CreateCode(w.t.Context(), c))
	return text
}

// as authenticates a client by its registered method.
func (w *world) as(client string, v url.Values, r *http.Request) {
	switch client {
	case "app", "api":
		r.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(w.secrets[client]))
	case "other":
		v.Set("client_id", client)
		v.Set("client_secret", w.secrets[client])
	case "spa":
		v.Set("client_id", client)
	}
}

// reply is an answer of an endpoint.
type reply struct {
	Status  int
	Header  http.Header
	Body    string
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Error   string `json:"error"`
	Active  bool   `json:"active"`
}

// post sends a form as that client; pairs are names and values.
func (w *world) post(h http.Handler, client string, pairs ...string) reply {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest("POST", issuer+"/oauth2/token", nil)
	w.as(client, v, r)
	return w.send(h, r, v.Encode())
}

func (w *world) send(h http.Handler, r *http.Request, body string) reply {
	if body != "" {
		n := httptest.NewRequest(r.Method, r.URL.String(), strings.NewReader(body))
		n.Header, n.RemoteAddr = r.Header, r.RemoteAddr
		r = n
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	out := reply{Status: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &out)
	return out
}

// exchange exchanges a code, and more.
func (w *world) exchange(client, code string, pairs ...string) reply {
	return w.post(w.Token(), client, append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", redirect, "code_verifier", verifier}, pairs...)...)
}

func (w *world) refreshes(client, token string, pairs ...string) reply {
	return w.post(w.Token(), client, append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
}

// status is the answer to an access token: 200, or that of the refusal.
func (w *world) status(token string) int {
	_, err := w.identity(token)
	var e *authn.Error
	switch {
	case err == nil:
		return 200
	case errors.As(err, &e):
		return e.Status
	}
	return 503
}

func (w *world) identity(token string) (authn.Identity, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	id, _, err := w.through().Explain(r)
	if err == nil && !id.Authenticated() {
		err = authn.ErrNoCredentials
	}
	return id, err
}

// through is a middleware in front of the server, which keeps identities.
func (w *world) through() *authn.Middleware {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.front == nil {
		w.front = authn.New(authn.Chain{w.Server}, &authn.Options{Logger: slog.New(slog.NewTextHandler(&locked{w: w}, nil))})
	}
	return w.front
}
