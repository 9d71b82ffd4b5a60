package oauthtest

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/storage"
)

// Login is Identity.Credential of a session of these tests.
type Login struct {
	Session string
	Epoch   int64
}

func SessionOf(id authn.Identity) (string, int64, bool) {
	l, ok := id.Credential.(Login)
	return l.Session, l.Epoch, ok
}

func WithSessions(o *Options) {
	o.Session = SessionOf
	o.Token = func(id authn.Identity) string { return "token of " + id.Subject }
}

// Alice is who is logged in, in that session.
func (w *World) Alice(session string) *authn.Identity {
	w.T.Helper()
	epoch, err := w.DB.SubjectEpoch(w.T.Context(), "id-alice")
	Must(w.T, err)
	return &authn.Identity{Subject: "id-alice", Scheme: "session", Credential: Login{session, epoch}, AuthTime: w.Clock(), User: storage.User{ID: "id-alice", Name: "alice"}.WithPermissions(nil)}
}

// Authorizes sends a request to the authorization endpoint as that identity, nil for nobody.
func (w *World) Authorizes(id *authn.Identity, method, query, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, Issuer+"/oauth2/authorize?"+query, strings.NewReader(body))
	if method == "POST" {
		// A form without an action goes to the page's own address, parameters and all.
		r = httptest.NewRequest(method, Issuer+"/oauth2/authorize?"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if id != nil {
		r = authntest.As(r, *id)
	}
	rec := httptest.NewRecorder()
	w.Authorize("/login").ServeHTTP(rec, r)
	return rec
}

// Query is a good request of the client, with changed parameters; "" takes one away.
func Query(client string, pairs ...string) string {
	v := url.Values{"response_type": {"code"}, "client_id": {client}, "redirect_uri": {Redirect}, "state": {"s&t=ä"}, "code_challenge": {ChallengeOf(Verifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Del(pairs[i])
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v.Encode()
}

var handleField = regexp.MustCompile(`name="handle" value="([^"]+)"`)

func HandleOf(t testing.TB, rec *httptest.ResponseRecorder) string {
	t.Helper()
	m := handleField.FindStringSubmatch(rec.Body.String())
	if rec.Code != 200 || m == nil {
		t.Fatalf("no consent page: %d %s %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	return html.UnescapeString(m[1])
}

// Sent returns the parameters that a redirect to the redirect URI carries.
func Sent(t testing.TB, rec *httptest.ResponseRecorder, to string) url.Values {
	t.Helper()
	at, text, ok := strings.Cut(rec.Header().Get("Location"), "?")
	v, err := url.ParseQuery(text)
	if rec.Code != http.StatusSeeOther || !ok || at != to || err != nil {
		t.Fatalf("%d to %q: %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	return v
}
