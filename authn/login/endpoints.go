package login

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// Endpoints holds the common parts of the endpoints of one scheme. They send a 401 with the
// scheme's own challenge, never with the challenge of another scheme in the chain. They answer an
// error of the store with 503.
type Endpoints struct {
	// Challenge returns the scheme's WWW-Authenticate value. Set it to the Challenge method of the
	// scheme.
	Challenge func(r *http.Request, err error) string
	// Rejected is the response to credentials that have the scheme's keyword but another format.
	Rejected *authn.Error
}

// Handler returns a handler that accepts only the given method, and also HEAD if the method is GET.
// It answers an error of f like [Endpoints.Respond]. If f returns nil, f has written the response.
func (e Endpoints) Handler(method string, f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			authn.Respond(w, r, authn.MethodNotAllowed(r.Method))
			return
		}
		if err := f(w, r); err != nil {
			e.Respond(w, r, err)
		}
	})
}

// NoContent is [Endpoints.Handler] for a function that writes no response. The response is 204.
func (e Endpoints) NoContent(method string, f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return e.Handler(method, func(w http.ResponseWriter, r *http.Request) error {
		if err := f(w, r); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// JSON is [Endpoints.Handler] for a function whose result is the response, written with [Answer].
func (e Endpoints) JSON(method string, f func(http.ResponseWriter, *http.Request) (any, error)) http.Handler {
	return e.Handler(method, func(w http.ResponseWriter, r *http.Request) error {
		v, err := f(w, r)
		if err == nil {
			Answer(w, v)
		}
		return err
	})
}

// Respond passes err to [Endpoints.Error] and answers the result with [authn.Respond].
func (e Endpoints) Respond(w http.ResponseWriter, r *http.Request, err error) {
	authn.Respond(w, r, e.Error(r, err))
}

// Error adds the scheme's challenge to a 401. It marks an error that is not a rejection as the
// failure of a dependency ([authn.Undecided]).
func (e Endpoints) Error(r *http.Request, err error) error {
	var rejected *authn.Error
	switch {
	case errors.As(err, &rejected) && rejected != nil:
	case errors.Is(err, authn.ErrUnrecognized) && e.Rejected != nil:
		rejected = e.Rejected
	case errors.Is(err, authn.ErrNoCredentials):
		rejected = authn.NotAuthenticated()
	default:
		return authn.Undecided(err)
	}
	if rejected.Status == http.StatusUnauthorized && e.Challenge != nil {
		return rejected.WithChallenge(e.Challenge(r, rejected))
	}
	return rejected
}
