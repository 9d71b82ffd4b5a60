// Package authntest helps to test handlers that stand behind package authn, and
// proves authenticators against its contract.
package authntest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// As returns a copy of r that a middleware seems to have authenticated as id: what
// authn.FromContext returns in the handler, and what guards decide about. The zero
// Identity is the anonymous caller.
//
// Use it for handlers and guards by themselves. A middleware, and so
// authz.Mux, asks its own chain and replaces the identity: to test a whole mux, make its chain
// with [Forced].
//
// An account that you put into Identity.User yourself has permissions only through
// storage.User.WithPermissions.
func As(r *http.Request, id authn.Identity) *http.Request {
	return r.WithContext(context.WithValue(authn.WithIdentity(r.Context(), id), forcedKey{}, id))
}

// Suite is what Run needs to know of a scheme.
type Suite struct {
	// Scheme is what is tested.
	Scheme authn.Authenticator
	// Good adds a credential that is accepted to a request.
	Good func(*http.Request)
	// Bad are credentials that are refused, by the name of their fault.
	Bad map[string]func(*http.Request)
}

// Run proves a scheme against the contract of authn.Authenticator.
func Run(t *testing.T, s Suite) {
	if s.Scheme == nil || s.Good == nil || len(s.Bad) == 0 {
		t.Fatal("authntest: Suite.Scheme, Suite.Good and one of Suite.Bad at least are required")
	}
	ask := func(add func(*http.Request)) (authn.Identity, error) {
		r := httptest.NewRequest("GET", "http://example.com/", nil)
		if add != nil {
			add(r)
		}
		return s.Scheme.Authenticate(r)
	}
	refused := func(t *testing.T, err error) *authn.Error {
		t.Helper()
		var e *authn.Error
		if !errors.As(err, &e) || e.Status < 400 || e.Status > 499 || e.Code == "" || e.Detail == "" && len(e.Members) == 0 {
			t.Errorf("got %v, want an *authn.Error with a status of 4xx, a code and a text", err)
		}
		return e
	}
	t.Run("absent", func(t *testing.T) {
		if id, err := ask(nil); !errors.Is(err, authn.ErrNoCredentials) || !reflect.DeepEqual(id, authn.Identity{}) {
			t.Errorf("a request without any credential: got %+v, %v, want ErrNoCredentials", id, err)
		}
		if _, err := ask(func(r *http.Request) { r.Header.Set("Authorization", "X-Unknown abc") }); !errors.Is(err, authn.ErrNoCredentials) {
			t.Errorf("an unknown keyword: got %v, want ErrNoCredentials", err)
		}
	})
	t.Run("accepted", func(t *testing.T) {
		id, err := ask(s.Good)
		if err != nil || !id.Authenticated() {
			t.Fatalf("got %+v, %v, want an identity", id, err)
		}
		if n, ok := authn.As[authn.Namer](s.Scheme); ok && id.Scheme != n.Name() {
			t.Errorf("Identity.Scheme is %q, Name() is %q", id.Scheme, n.Name())
		}
		if id.Client != "" && id.Scopes == nil {
			t.Error("a client's identity is limited by scopes")
		}
	})
	t.Run("refused", func(t *testing.T) {
		for name, bad := range s.Bad {
			id, err := ask(bad)
			if errors.Is(err, authn.ErrUnrecognized) {
				continue // a chain refuses it
			}
			refused(t, err)
			if !reflect.DeepEqual(id, authn.Identity{}) {
				t.Errorf("%s: refused, and an identity %+v", name, id)
			}
		}
	})
	t.Run("request_is_not_changed", func(t *testing.T) {
		for _, add := range append(values(s.Bad), s.Good) {
			r := httptest.NewRequest("GET", "http://example.com/a?b=c", nil)
			add(r)
			before, url := r.Header.Clone(), r.URL.String()
			ctx := r.Context()
			_, _ = s.Scheme.Authenticate(r)
			if !reflect.DeepEqual(before, r.Header) || r.URL.String() != url || r.Context() != ctx {
				t.Error("Authenticate changed the request")
			}
		}
	})
	t.Run("headers_are_honest", func(t *testing.T) {
		h, ok := s.Scheme.(authn.HeaderReader)
		if !ok {
			return
		}
		_, err := ask(func(r *http.Request) {
			s.Good(r)
			for _, name := range h.Headers() {
				if name != http.CanonicalHeaderKey(name) {
					t.Errorf("header %q is not in canonical form", name)
				}
				r.Header.Del(name)
			}
		})
		if !errors.Is(err, authn.ErrNoCredentials) {
			t.Errorf("without the headers of Headers(): got %v, want ErrNoCredentials", err)
		}
	})
	t.Run("two_authorization_headers", func(t *testing.T) {
		_, err := ask(func(r *http.Request) {
			s.Good(r)
			r.Header.Add("Authorization", "X-Other abc")
			if len(r.Header["Authorization"]) < 2 {
				r.Header.Add("Authorization", "X-Other abc")
			}
		})
		if h, ok := s.Scheme.(authn.HeaderReader); ok && strings.Contains(strings.Join(h.Headers(), " "), "Authorization") {
			if e := refused(t, err); e != nil && e.Status != http.StatusBadRequest {
				t.Errorf("got status %d, want 400", e.Status)
			}
		}
	})
	t.Run("challenge", func(t *testing.T) {
		c, ok := s.Scheme.(authn.Challenger)
		if !ok {
			return
		}
		for _, err := range []error{authn.ErrNoCredentials, authn.AuthenticationFailed("")} {
			text := c.Challenge(httptest.NewRequest("GET", "/", nil), err)
			if strings.ContainsAny(text, "\r\n\x00") || strings.TrimSpace(text) != text {
				t.Errorf("challenge %q", text)
			}
		}
	})
	t.Run("hostile_headers", func(t *testing.T) {
		keywords := []string{"Bearer", "Token", "Basic", "Knox", ""}
		if c, ok := s.Scheme.(authn.Claimer); ok {
			for _, claim := range c.Claims() {
				keywords = append(keywords, claim.Keyword)
			}
		}
		for _, k := range keywords {
			for _, text := range hostile {
				_, err := ask(func(r *http.Request) { r.Header["Authorization"] = []string{k + text} })
				if errors.Is(err, authn.ErrNoCredentials) {
					continue
				}
				refused(t, err)
			}
		}
	})
	t.Run("kept", func(t *testing.T) { // by the middleware, if the scheme is an authn.Keeper
		for _, differs := range keptDiffers(s) {
			t.Errorf("a kept identity is given to a request that Authenticate answers otherwise: %s", differs)
		}
	})
	t.Run("concurrent_use", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if _, err := ask(s.Good); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func values(m map[string]func(*http.Request)) (all []func(*http.Request)) {
	for _, f := range m {
		all = append(all, f)
	}
	return all
}

// hostile texts follow a keyword. None of them is a credential.
var hostile = []string{
	"", " ", "  ", "\t", " \x00", " a\x00b", " a\x7f", " \ufeffa", " a\u200b", " \uff21", " \xff\xfe", " a b", " a, Basic b", "\u00a0a",
	" " + strings.Repeat(".", 10_000), " " + strings.Repeat("a.", 10_000), " " + strings.Repeat("=", 100), strings.Repeat(" ", 100_000) + "a",
	" %00", " ' OR 1=1--", " %", " _", " ../../etc/passwd", " ${jndi:x}", " :", " Og==", " YTpi\n", " eyJhbGciOiJub25lIn0.e30.",
	" " + strings.Repeat("A", 1<<20),
}
