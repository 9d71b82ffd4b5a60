package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	loginForm = "username=alice&password=wonderland-42"
	wrongForm = "username=alice&password=wrong"
)

// free is a password check that costs nothing: login is compared without it.
type free struct{}

func (free) CheckPassword(_ *http.Request, name, password string) (authn.Login, error) {
	if name != "alice" || password != "wonderland-42" {
		return authn.Login{}, authn.InvalidLogin()
	}
	return authn.Login{Subject: subject, Name: "alice"}, nil
}

// bearer is the token of a request.
func bearer(r *http.Request) (string, bool) {
	return strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// with leaves the subject in the request, as any middleware does.
func with(r *http.Request, subject string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), floorKey{}, &known{subject}))
}

// endpoint is work that is one request to an endpoint; bad is one that must be refused.
func endpoint(h http.Handler, good func() *http.Request, status int, bad func() *http.Request) *Work {
	return &Work{
		Do: func() error { return answer(h, good(), status, nil) },
		Check: func() error {
			rec := httptest.NewRecorder()
			if h.ServeHTTP(rec, bad()); rec.Code < 400 {
				return fmt.Errorf("a bad request is answered with %d", rec.Code)
			}
			return answer(h, good(), status, nil)
		},
	}
}

// each is work that ends one thing, made ready by add, at a time. live reports whether a
// thing is still good.
func each[T any](add func() (T, error), end func(T) error, live func(T) bool) *Work {
	var ready []T
	w := &Work{
		Prepare: func(n int) error {
			for range n {
				t, err := add()
				if err != nil {
					return err
				}
				ready = append(ready, t)
			}
			return nil
		},
		Do: func() error {
			t := ready[len(ready)-1]
			ready = ready[:len(ready)-1]
			return end(t)
		},
	}
	w.Check = func() error {
		t, err := add()
		if err != nil {
			return err
		}
		if !live(t) {
			return errors.New("not good at first")
		}
		if err := end(t); err != nil {
			return err
		}
		if live(t) {
			return errors.New("still good after its end")
		}
		return nil
	}
	return w
}

// passes reports whether h lets a request with that header through as alice.
func passes(a authn.Authenticator, name, value string) bool {
	id, err := a.Authenticate(request(http.Header{name: {value}}))
	return err == nil && id.Subject == subject
}

// The endpoints of ours, over the store in memory.

func inWorld(f func(e *Env, w *world) (*Work, error)) func(*Env) (*Work, error) {
	return func(e *Env) (*Work, error) {
		w, err := newWorld(e, inMemory, false) // its own, since it grows
		if err != nil {
			return nil, err
		}
		return f(e, w)
	}
}

func ourLogin(handler func(*world) http.Handler) func(*Env) (*Work, error) {
	return inWorld(func(_ *Env, w *world) (*Work, error) {
		return endpoint(handler(w), func() *http.Request { return post("/login", loginForm) }, 200, func() *http.Request { return post("/login", wrongForm) }), nil
	})
}

type refreshed struct {
	Access string `json:"access"`
	Next   string `json:"refresh"`

	OAuthAccess string `json:"access_token"`
	OAuthNext   string `json:"refresh_token"`
}

// chained exchanges the refresh token of the answer before.
func chained(first string, exchange func(refresh string) (next string, err error)) *Work {
	w := &Work{Do: func() error {
		next, err := exchange(first)
		if err == nil && (next == "" || next == first) {
			err = fmt.Errorf("after %.8s… comes %.8s…", first, next)
		}
		first = next
		return err
	}}
	w.Check = func() error {
		if _, err := exchange(mangled(first)); err == nil {
			return errors.New("another refresh token is taken")
		}
		return w.Do()
	}
	return w
}

func ourRefresh(e *Env, w *world) (*Work, error) {
	pair, err := w.jwts.Issue(e, subject, 0, nil)
	h, n := w.jwts.RefreshPair(), 0
	return chained(pair.Refresh, func(refresh string) (string, error) {
		if n++; n%storage.ExchangeBurst == 0 { // as often as a login is refreshed without a pause
			again, err := w.jwts.Issue(e, subject, 0, nil)
			if err != nil {
				return "", err
			}
			refresh = again.Refresh
		}
		var body refreshed
		err := answer(h, post("/refresh", "refresh="+refresh), 200, &body)
		return body.Next, err
	}), err
}

func ourOAuthRefresh(_ *Env, w *world) (*Work, error) {
	h, n := w.server.Token(), 0
	return chained(w.refresh, func(refresh string) (string, error) {
		if n++; n%storage.ExchangeBurst == 0 { // as for JWTs
			if _, err := w.allow(); err != nil {
				return "", err
			}
			refresh = w.refresh
		}
		var body refreshed
		err := answer(h, w.asApp("grant_type=refresh_token&refresh_token="+refresh), 200, &body)
		return body.OAuthNext, err
	}), nil
}

func ourOAuthLogin(_ *Env, w *world) (*Work, error) {
	return endpoint(w.server.Token(), func() *http.Request { return w.asApp("grant_type=client_credentials") }, 200, func() *http.Request {
		r := w.asApp("grant_type=client_credentials")
		r.SetBasicAuth("app", "wrong")
		return r
	}), nil
}

func ourOAuthRevoke(_ *Env, w *world) (*Work, error) {
	token, revoke := w.server.Token(), w.server.Revoke()
	return each(func() (string, error) {
		var body refreshed
		err := answer(token, w.asApp("grant_type=client_credentials"), 200, &body)
		return body.OAuthAccess, err
	}, func(t string) error {
		return answer(revoke, w.asApp("token="+t), 200, nil)
	}, func(t string) bool {
		id, err := w.grants.Authenticate(request(http.Header{"Authorization": {"Bearer " + t}}))
		return err == nil && id.Client == "app"
	}), nil
}

func ourKnoxRevoke(e *Env, w *world) (*Work, error) {
	logout := w.devices.Logout()
	return each(func() (string, error) {
		text, _, err := w.devices.Issue(e, subject, 0, knoxToken)
		return text, err
	}, func(t string) error {
		r := post("/logout", "")
		r.Header.Set("Authorization", "Knox "+t)
		return answer(logout, r, 204, nil)
	}, func(t string) bool { return passes(w.devices, "Authorization", "Knox "+t) }), nil
}

func ourJWTRevoke(e *Env, w *world) (*Work, error) {
	logout := w.jwts.Blocklist()
	type pair struct{ access, refresh string }
	return each(func() (pair, error) {
		p, err := w.jwts.Issue(e, subject, 0, nil)
		return pair{p.Access, p.Refresh}, err
	}, func(p pair) error {
		return answer(logout, post("/blacklist", "refresh="+p.refresh), 200, nil)
	}, func(p pair) bool { return passes(w.jwts, "Authorization", "Bearer "+p.access) }), nil
}

func ourSessionRevoke(_ *Env, w *world) (*Work, error) {
	logout := w.browsers.Logout()
	return each(func() (string, error) {
		rec := httptest.NewRecorder()
		err := w.browsers.Start(rec, post("/login", ""), authn.Login{Subject: subject})
		if err != nil {
			return "", err
		}
		c := rec.Result().Cookies()[0]
		return c.Name + "=" + c.Value, nil
	}, func(cookie string) error {
		r := post("/logout", "")
		r.Header.Set("Cookie", cookie)
		r.Header.Set("Origin", issuer)
		return answer(logout, r, 204, nil)
	}, func(cookie string) bool { return passes(w.browsers, "Cookie", cookie) }), nil
}
