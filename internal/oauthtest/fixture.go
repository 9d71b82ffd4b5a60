package oauthtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// Changed returns a token with another letter at one place.
func Changed(token string) string {
	letter := "x"
	if token[20] == 'x' {
		letter = "y"
	}
	return token[:20] + letter + token[21:]
}

func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Store is what the tests need of one.
type Store interface {
	server.Store
	storage.Accounts
	storage.Subjects
}

// Each runs f on every kind of store.
func Each(t *testing.T, f func(t *testing.T, s Store)) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) { f(t, s) })
	t.Run("cached", func(t *testing.T) {
		s, err := cached.New(memory.New(nil), &cached.Options{TTL: cached.MaxTTL, Clock: func() time.Time { return Born }})
		Must(t, err)
		f(t, s)
	})
}

const (
	Issuer   = "https://auth.example"
	Redirect = "https://app.example/cb"
	Verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636 appendix B
)

func ChallengeOf(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// World is a server over a store with alice and a few clients: "app" with a secret, "spa"
// without, "other" with a secret of its own, "api", which introspects.
type World struct {
	*Server
	front   *authn.Middleware
	T       testing.TB
	DB      *Faulty
	Elapsed atomic.Int64 // microseconds after the beginning
	Secrets map[string]string
	mu      sync.Mutex
	events  []audit.Event
	Log     strings.Builder
	N       atomic.Int64
}

func NewWorld(t testing.TB, s Store, change func(*Options)) *World {
	t.Helper()
	w := &World{T: t, DB: &Faulty{Store: s}, Secrets: map[string]string{}}
	w.serve(change)
	var err error
	Must(t, s.CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true, Roles: []string{"admin"}}))
	for _, c := range []storage.Client{
		{ID: "app", Method: oauth2.SecretBasic, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.ClientCredentials},
			Scopes: []string{"read", "write"}, Default: []string{"read"}, Resources: []string{"https://api.example", "https://files.example"}},
		{ID: "spa", Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.ClientCredentials}, Scopes: []string{"read"}},
		{ID: "other", Method: oauth2.SecretPost, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"}},
		{ID: "api", Method: oauth2.SecretBasic, Serves: []string{"https://api.example"}},
	} {
		c.RedirectURIs = []string{Redirect}
		if !c.Public() {
			w.Secrets[c.ID], c.Secret, err = oauth2.NewSecret()
			Must(t, err)
		}
		Must(t, s.CreateClient(t.Context(), c))
	}
	return w
}

// locked writes the log one line at a time.
type locked struct{ w *World }

func (l *locked) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.Log.Write(b)
}

var Born = time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)

func (w *World) Clock() time.Time {
	return Born.Add(time.Duration(w.Elapsed.Load()) * time.Microsecond)
}

func (w *World) Pass(d time.Duration) { w.Elapsed.Add(d.Microseconds()) }

// Take returns the kinds of the events since the last time.
func (w *World) Take() string {
	var kinds []string
	for _, e := range w.Events() {
		kinds = append(kinds, string(e.Kind))
	}
	return strings.Join(kinds, " ")
}

// Events returns the events since the last time.
func (w *World) Events() []audit.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.events
	w.events = nil
	return list
}

// Code makes an authorization code as the authorization endpoint would.
func (w *World) Code(client string, change func(*storage.Code)) string {
	w.T.Helper()
	var body [credential.Size]byte
	copy(body[:], fmt.Sprint("code ", w.N.Add(1)))
	text := credential.MustFormat("vac").Encode(body)
	epoch, err := w.DB.SubjectEpoch(w.T.Context(), "id-alice")
	Must(w.T, err)
	c := storage.Code{
		Digest: storage.DigestOf(text), Client: client, Subject: "id-alice", Epoch: epoch, RedirectURI: Redirect, Scopes: []string{"read"},
		Challenge: ChallengeOf(Verifier), AuthTime: w.Clock(), Created: w.Clock(), Expires: w.Clock().Add(time.Minute), Kept: w.Clock().Add(time.Hour),
	}
	if audience := w.Scheme().Options().Audience; audience != "" {
		c.Resource = []string{audience}
	}
	if change != nil {
		change(&c)
	}
	Must(w.T, w.DB.CreateCode(w.T.Context(), c))
	return text
}

// As authenticates a client by its registered method.
func (w *World) As(client string, v url.Values, r *http.Request) {
	switch client {
	case "app", "api", "next", "last", "end":
		r.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(w.Secrets[client]))
	case "other":
		v.Set("client_id", client)
		v.Set("client_secret", w.Secrets[client])
	case "spa":
		v.Set("client_id", client)
	}
}

// Reply is an answer of an endpoint.
type Reply struct {
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

// Post sends a form as that client; pairs are names and values.
func (w *World) Post(h http.Handler, client string, pairs ...string) Reply {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest("POST", Issuer+"/oauth2/token", nil)
	w.As(client, v, r)
	return w.Send(h, r, v.Encode())
}

func (w *World) Send(h http.Handler, r *http.Request, body string) Reply {
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
	out := Reply{Status: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &out)
	return out
}

// Exchange exchanges a code, and more.
func (w *World) Exchange(client, code string, pairs ...string) Reply {
	return w.Post(w.Token(), client, append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", Redirect, "code_verifier", Verifier}, pairs...)...)
}

func (w *World) Refreshes(client, token string, pairs ...string) Reply {
	return w.Post(w.Token(), client, append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
}
