package session

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// issued reports the cookies that the browser has after the answer, so that limits of refused
// credentials know them; see authn.Issued.
func (s *Scheme) issued(w http.ResponseWriter, r *http.Request, subject string) {
	if authn.WantsIssued(r) {
		issued(r, authn.Identity{Subject: subject}, w.Header(), s.CredentialCookies())
	}
}

// issued is Scheme.issued for a session of that content. A nil w is an answer without cookies.
func (s *Sealed) issued(w http.ResponseWriter, r *http.Request, c *content) {
	if !authn.WantsIssued(r) {
		return
	}
	var answer http.Header
	if w != nil {
		answer = w.Header()
	}
	id := authn.Identity{Subject: c.subject}
	if c.subject == "" {
		sum := sha256.Sum256([]byte(c.secret))
		id = visitor(hex.EncodeToString(sum[:8]))
	}
	issued(r, id, answer, s.CredentialCookies())
}

// visitor names a session in which nobody is logged in to limits: each counts as an account of its own.
func visitor(id string) authn.Identity { return authn.Identity{Client: "visitor " + id} }

func issued(r *http.Request, id authn.Identity, answer http.Header, names []string) {
	var list []string
	for _, name := range names {
		text, ok := answered(answer, name)
		if !ok {
			text, _ = authn.Cookie(r, name)
		}
		if text != "" {
			list = append(list, text)
		}
	}
	authn.Issued(r, id, list...)
}
