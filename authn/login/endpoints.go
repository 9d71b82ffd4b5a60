package login

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// Endpoints has what the endpoints of one scheme share. They answer a 401 with the scheme's own
// challenge, never with that of another scheme of the chain, and a store's error with 503.
type Endpoints struct {
	// Challenge returns the scheme's WWW-Authenticate value: the method Challenge of the
	// scheme.
	Challenge func(r *http.Request, err error) string
	// Rejected is the answer to a credential that is under the scheme's keyword but not in its
	// format.
	Rejected *authn.Error
}

// Handler returns a handler for one method, and HEAD in addition to GET. f's error is answered
// as by Respond; after a nil error f has written the answer.
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

// NoContent is Handler for an f that writes no answer: it is 204.
func (e Endpoints) NoContent(method string, f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return e.Handler(method, func(w http.ResponseWriter, r *http.Request) error {
		if err := f(w, r); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// JSON is Handler for an f whose result is the answer.
func (e Endpoints) JSON(method string, f func(http.ResponseWriter, *http.Request) (any, error)) http.Handler {
	return e.Handler(method, func(w http.ResponseWriter, r *http.Request) error {
		v, err := f(w, r)
		if err == nil {
			Answer(w, v)
		}
		return err
	})
}

// Respond answers err with authn.Respond, after Error.
func (e Endpoints) Respond(w http.ResponseWriter, r *http.Request, err error) {
	authn.Respond(w, r, e.Error(r, err))
}

// Error gives a 401 the scheme's challenge, and marks an error that is not a rejection as the
// fault of a dependency (authn.Undecided).
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
