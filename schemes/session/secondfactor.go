package session

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
)

// SecondFactor asks for a second factor after the password; see [FormOptions]. The argument next is
// the path to which the browser is redirected after the login. The argument remember is true if the
// user wants to stay logged in.
type SecondFactor func(r *http.Request, login authn.Login, next string, remember bool) (page http.Handler, err error)

// before returns a keeper that asks for the second factor before it starts a session with k.
func (f SecondFactor) before(k keeper, fallback string) keeper {
	if f == nil {
		return k
	}
	return twoSteps{k, f, fallback}
}

// twoSteps is a keeper of a login page with a second factor.
type twoSteps struct {
	keeper
	second   SecondFactor
	fallback string
}

// step receives the page of the second factor.
type step struct{ page http.Handler }

type stepKey struct{}

func withStep(r *http.Request) (*http.Request, *step) {
	s := new(step)
	return r.WithContext(context.WithValue(r.Context(), stepKey{}, s)), s
}

// askSecond returns login.ErrContinued if the login needs a second factor. The argument fields has
// the values of the form fields "remember" and "next".
func askSecond(k keeper, r *http.Request, l authn.Login, fields []string) error {
	two, ok := k.(twoSteps)
	if !ok {
		return nil
	}
	return two.second.ask(r, l, SafeNext(fields[1], two.fallback), fields[0] != "")
}

// ask calls the function. It returns login.ErrContinued if the function returned a page.
func (f SecondFactor) ask(r *http.Request, l authn.Login, next string, remember bool) error {
	page, err := audit.Call("session.FormOptions.SecondFactor", func() (http.Handler, error) { return f(r, l, next, remember) })
	if err != nil || page == nil {
		return err
	}
	r.Context().Value(stepKey{}).(*step).page = page
	return login.ErrContinued
}
