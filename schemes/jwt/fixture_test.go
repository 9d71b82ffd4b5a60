package jwt_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

const (
	issuer   = "https://app.example"
	audience = "https://api.example"
)

type store = storagetest.Store

// start returns a clock at a whole second, because times in a JWT have no fractions.
func start() *schemetest.Clock { return &schemetest.Clock{From: time.Unix(1_800_000_000, 0)} }

// world is a scheme with a store that contains the account alice.
type world struct {
	*jwt.Scheme
	front  *authn.Middleware // keeps identities
	clock  *schemetest.Clock
	store  store
	ring   *jose.KeySet
	events schemetest.Journal
}

func newWorld(t testing.TB, opts jwt.Options) *world {
	t.Helper()
	c := start()
	return over(t, memory.New(&memory.Options{Clock: c.Now}), c, opts)
}

func over(t testing.TB, s store, c *schemetest.Clock, opts jwt.Options) *world {
	t.Helper()
	w := &world{clock: c, store: s, ring: ringOf(t, jose.ES256)}
	opts.Clock = c.Now
	opts.Logger = schemetest.Quiet
	opts.Audit = audit.To(w.events.Observe)
	schemetest.Add(t, s, "alice")
	var err error
	w.Scheme, err = jwt.New(issuer, audience, w.ring, s, &opts)
	schemetest.Must(t, err)
	w.front = authn.New(w.Scheme, &authn.Options{Logger: schemetest.Quiet})
	return w
}

func ringOf(t testing.TB, alg jose.Algorithm) *jose.KeySet {
	t.Helper()
	k, err := jose.Generate(alg)
	schemetest.Must(t, err)
	r, err := jose.NewKeySet(k)
	schemetest.Must(t, err)
	return r
}

// issue begins a login of alice.
func (w *world) issue(t testing.TB) jwt.Pair {
	t.Helper()
	epoch, err := w.store.SubjectEpoch(t.Context(), "id-alice")
	schemetest.Must(t, err)
	p, err := w.Issue(t.Context(), "id-alice", epoch, nil)
	schemetest.Must(t, err)
	return p
}

func bearer(token string) *http.Request { return schemetest.With("Bearer " + token) }

// status returns the status for an access token.
func (w *world) status(token string) int { return through(w.front, token) }

func statusOf(a authn.Authenticator, token string) int { return through(authn.New(a, nil), token) }

// through returns the status for a token sent through a middleware.
func through(m *authn.Middleware, token string) int {
	ctx, err := m.Authenticate(bearer(token))
	id := authn.FromContext(ctx)
	var e *authn.Error
	switch {
	case err == nil && !id.Authenticated():
		return 401
	case err == nil:
		return 200
	case errors.As(err, &e):
		return e.Status
	}
	return 503
}

// refreshes returns the result for a refresh token.
func (w *world) refreshes(t testing.TB, token string) (jwt.Pair, int) {
	t.Helper()
	p, _, err := w.Refresh(t.Context(), token)
	var e *authn.Error
	switch {
	case err == nil:
		return p, 200
	case errors.As(err, &e):
		return p, e.Status
	}
	return p, 503
}

// post sends a JSON body to an endpoint.
func post(h http.Handler, body string) *httptest.ResponseRecorder {
	return schemetest.Do(h, schemetest.Post(body))
}

func fields(t testing.TB, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	var m map[string]string
	schemetest.Must(t, json.Unmarshal(w.Body.Bytes(), &m))
	return m
}

// sign returns a token of the scheme's issuer with changed claims.
func (w *world) sign(t testing.TB, typ string, change map[string]any) string {
	t.Helper()
	now := w.clock.Now().Unix()
	c := map[string]any{"iss": issuer, "aud": audience, "sub": "id-alice", "jti": "some-jti", "sid": "some-sid", "ver": 0,
		"iat": now, "exp": now + 300, "auth_time": now}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	text, err := json.Marshal(c)
	schemetest.Must(t, err)
	token, err := w.ring.Sign(t.Context(), typ, text)
	schemetest.Must(t, err)
	return token
}

// anyone accepts every password.
var anyone = schemetest.Anyone{Subject: "id-alice"}

// reads are the store methods that check a token.
func reads() []string { return []string{"TokenStatusWithUser", "TokenStatusOf", "RefreshByDigest"} }

// ends are the store methods that revoke one.
func ends() []string { return []string{"EndFamily", "Block"} }

// overStore returns another scheme of w's issuer with its own store.
func overStore(t testing.TB, w *world, s jwt.Store, opts jwt.Options) *jwt.Scheme {
	t.Helper()
	opts.Clock, opts.Logger = w.clock.Now, schemetest.Quiet
	x, err := jwt.New(issuer, audience, w.ring, s, &opts)
	schemetest.Must(t, err)
	return x
}

// ambiguous claims, and loses the answer where it is told to.
type ambiguous struct {
	store
	lose bool
}

func (a *ambiguous) ClaimRefresh(ctx context.Context, c storage.RefreshClaim) error {
	err := a.store.ClaimRefresh(ctx, c)
	if a.lose {
		return errors.Join(errors.New("connection lost"), ctx.Err())
	}
	return err
}
