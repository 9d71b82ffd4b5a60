package schemetest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// Quiet is a logger that discards everything.
var Quiet = slog.New(slog.DiscardHandler)

// Must fails the test for an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Each runs f on an empty store of every kind: those of storetest.Each, and a cache in front of
// a memory store. clock is the cache's; nil is the time of day.
func Each(t *testing.T, clock func() time.Time, f func(t *testing.T, s storagetest.Store)) {
	storetest.Each(t, f)
	t.Run("cached", func(t *testing.T) {
		s, err := cached.New(memory.New(nil), &cached.Options{TTL: cached.MaxTTL, Clock: clock})
		Must(t, err)
		f(t, s)
	})
}

// Ring returns a key ring of these master keys, or of a new one.
func Ring(t testing.TB, masters ...[]byte) *keys.Ring {
	t.Helper()
	if len(masters) == 0 {
		masters = [][]byte{keys.Generate()}
	}
	r, err := keys.NewRing(masters...)
	Must(t, err)
	return r
}

// Add creates an active account with the role staff. Its ID is the name after "id-".
func Add(t testing.TB, s storage.Users, name string) {
	t.Helper()
	Must(t, s.CreateUser(context.Background(), storage.User{ID: "id-" + name, Name: name, Active: true, Roles: []string{"staff"}}))
}

// Epoch returns the present epoch of an account.
func Epoch(t testing.TB, s storage.Subjects, subject string) int64 {
	t.Helper()
	n, err := s.SubjectEpoch(context.Background(), subject)
	Must(t, err)
	return n
}

// Born is when a Clock begins: whole microseconds, as databases keep them.
func Born() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC) }

// Clock stands still until it is moved. It is safe for concurrent use.
type Clock struct {
	// From is when it begins; the zero value is Born.
	From time.Time

	elapsed atomic.Int64
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	from := c.From
	if from.IsZero() {
		from = Born()
	}
	return from.Add(time.Duration(c.elapsed.Load()))
}

// Set sets the time to d after the beginning.
func (c *Clock) Set(d time.Duration) { c.elapsed.Store(int64(d)) }

// Pass moves the time on by d.
func (c *Clock) Pass(d time.Duration) { c.elapsed.Add(int64(d)) }

// Journal collects audit events. It is safe for concurrent use.
type Journal struct {
	mu   sync.Mutex
	list []audit.Event
}

// Observe is the function for audit.To.
func (j *Journal) Observe(_ context.Context, e audit.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, e)
}

// Events returns the events since the last call of Take.
func (j *Journal) Events() []audit.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]audit.Event(nil), j.list...)
}

// Take returns the kinds of the events since the last call, and forgets them.
func (j *Journal) Take() string { return j.take(func(audit.Event) string { return "" }) }

// TakeReasons is Take with "kind:reason" for an event that has a reason.
func (j *Journal) TakeReasons() string {
	return j.take(func(e audit.Event) string { return strings.TrimSuffix(":"+e.Reason, ":") })
}

func (j *Journal) take(suffix func(audit.Event) string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var words []string
	for _, e := range j.list {
		words = append(words, string(e.Kind)+suffix(e))
	}
	j.list = nil
	return strings.Join(words, " ")
}

// Anyone is a password checker that accepts every password for one subject. Its epoch is the one
// that Epochs has, or 0.
type Anyone struct {
	Subject string
	Epochs  storage.Subjects
}

// CheckPassword implements authn.PasswordChecker.
func (a Anyone) CheckPassword(r *http.Request, _, _ string) (login authn.Login, err error) {
	login = authn.Login{Subject: a.Subject, Cookies: []*http.Cookie{{Name: "device", Value: "x"}}}
	if a.Epochs != nil {
		login.Epoch, err = a.Epochs.SubjectEpoch(r.Context(), a.Subject)
	}
	return login, err
}

// Nobody is a password checker that rejects every password.
type Nobody struct{}

// CheckPassword implements authn.PasswordChecker.
func (Nobody) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{}, authn.InvalidLogin()
}

// NoEntropy is a source of random bytes that fails.
type NoEntropy struct{}

// Read implements io.Reader.
func (NoEntropy) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

// Forever is a lease that always holds, and that every store issued.
type Forever struct{}

// Valid implements storage.Lease.
func (Forever) Valid(context.Context) bool { return true }

// IssuedBy implements storage.Lease.
func (Forever) IssuedBy(any) bool { return true }

// With returns a GET request with that one line Authorization, exactly; "" is none.
func With(value string) *http.Request { return Request("GET", value) }

// Request is With for another method.
func Request(method, value string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	if value != "" {
		r.Header["Authorization"] = []string{value}
	}
	return r
}

// Sends returns a function that adds the line Authorization to a request, for authntest.World.
func Sends(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", value) }
}

// Post returns a POST request with a body in JSON.
func Post(body string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// Do serves r behind a middleware that has no scheme and discards its log.
func Do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	authn.New(authn.Chain{}, &authn.Options{Logger: Quiet}).Public(h).ServeHTTP(w, r)
	return w
}

// Guarded serves r behind a middleware with a, before a handler that answers 200 with no body,
// and the anonymous with ErrNoCredentials.
func Guarded(a authn.Authenticator, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	authn.New(authn.Chain{a}, &authn.Options{Logger: Quiet}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authn.FromContext(r.Context()).Authenticated() {
			authn.Respond(w, r, authn.ErrNoCredentials)
		}
	})).ServeHTTP(w, r)
	return w
}

// Refused reports whether the line Authorization is refused, and fails the test if that is by
// another answer than 401 "Invalid token.".
func Refused(t testing.TB, a authn.Authenticator, value string) bool {
	t.Helper()
	_, err := authn.Chain{a}.Authenticate(With(value))
	var e *authn.Error
	if err != nil && (!errors.As(err, &e) || e.Status != 401 || e.Detail != "Invalid token.") {
		t.Errorf("got %v", err)
	}
	return err != nil
}

// Tampered returns a token of package credential with another body under the old checksum.
func Tampered(text string) string {
	c := byte('A')
	if text[10] == c {
		c = 'B'
	}
	return text[:10] + string(c) + text[11:]
}
