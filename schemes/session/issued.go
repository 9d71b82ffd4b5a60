package session

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// issued reports the cookies that the browser has after the answer, so that limits of refused
// credentials know them; see authn.Issued.
func (s *Scheme) issued(w http.ResponseWriter, r *http.Request, subject string) {
	authn.Issued(r, authn.Identity{Subject: subject}, after(w, r, s.CredentialCookies()...)...)
}

func (s *Sealed) issued(w http.ResponseWriter, r *http.Request, subject string) {
	authn.Issued(r, authn.Identity{Subject: subject}, after(w, r, s.CredentialCookies()...)...)
}

// after returns the cookies of these names that the browser has after the answer.
func after(w http.ResponseWriter, r *http.Request, names ...string) (list []string) {
	for _, name := range names {
		text, ok := answered(w, name)
		if !ok {
			text, _ = authn.Cookie(r, name)
		}
		if text != "" {
			list = append(list, text)
		}
	}
	return list
}
