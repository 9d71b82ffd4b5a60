package authn_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// panicsIn is a scheme that panics in one of its methods.
type panicsIn struct{ where string }

func (p panicsIn) at(where string) {
	if p.where == where {
		panic("hush: postgres://user:secret@db/ at /srv/app/main.go:42")
	}
}

func (p panicsIn) Name() string      { return "panicking" }
func (p panicsIn) Headers() []string { return []string{"Cookie"} }
func (p panicsIn) Authenticate(r *http.Request) (authn.Identity, error) {
	p.at("Authenticate")
	if p.where == "Challenge" || p.where == "Lapsed" {
		return authn.Identity{}, authn.AuthenticationFailed("Invalid session.")
	}
	return authn.Identity{Subject: "alice", Scheme: "panicking"}, nil
}

func (p panicsIn) Challenge(*http.Request, error) string {
	p.at("Challenge")
	return "Panicking"
}

func (p panicsIn) Renew(http.ResponseWriter, *http.Request, authn.Identity) error {
	p.at("Renew")
	return nil
}

func (p panicsIn) Lapsed(*http.Request, error) (bool, error) {
	p.at("Lapsed")
	return false, nil
}

// A panic, an error and a bug reveal nothing about the program to the client, in JSON or as a page.
func TestPanicsTellNothing(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	failing := func(err error) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, err) })
	}
	secret := errors.New("pq: password authentication failed for user hush at /srv/app/main.go:42")
	for name, c := range map[string]struct {
		scheme panicsIn
		h      http.Handler
	}{
		"scheme": {panicsIn{"Authenticate"}, hello}, "renewal": {panicsIn{"Renew"}, hello}, "challenge": {panicsIn{"Challenge"}, hello}, "lapsed": {panicsIn{"Lapsed"}, hello},
		"fault": {panicsIn{}, failing(secret)}, "unavailable": {panicsIn{}, failing(&authn.Unavailable{Reason: "hush", Cause: secret})},
		"private cause": {panicsIn{}, failing(authn.PermissionDenied("No.").WithCause(secret))}, "a status that is none": {panicsIn{}, failing(&authn.Error{Status: 1, Detail: "hush"})},
		"nil": {panicsIn{}, failing(nil)}, "handler": {panicsIn{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("hush") })},
	} {
		for kind, accept := range map[string]string{"json": "*/*", "page": "text/html"} {
			t.Run("attack_245_"+name+"_"+kind, func(t *testing.T) {
				mux := authz.NewMux(authn.New(authn.Chain{c.scheme}, &authn.Options{Logger: quiet}))
				mux.Handle("/", authn.Page("/login", c.h), authz.AllowAny)
				s := serve(t, mux)
				r, err := http.NewRequest("GET", s.URL, nil)
				must(t, err)
				r.Header.Set("Accept", accept)
				r.Header.Set("Cookie", "a=b")
				resp, err := s.Client().Do(r)
				if name == "handler" {
					if err == nil {
						t.Errorf("net/http answered a panic with %d", resp.StatusCode)
					}
					return
				}
				must(t, err)
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				must(t, err)
				all := string(body)
				for field, values := range resp.Header {
					all += "\n" + field + ": " + strings.Join(values, ", ")
				}
				for _, leak := range []string{"hush", "goroutine", ".go:", "runtime", "panic", "pq:", "postgres", "authn."} {
					if strings.Contains(all, leak) {
						t.Errorf("%d says %q: %s", resp.StatusCode, leak, all)
					}
				}
				if resp.StatusCode == 200 && name != "renewal" {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
			})
		}
	}
}
