package main

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// step is what one scheme said of a request.
type step struct {
	Scheme  string `json:"scheme"`
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
}

// trace answers with what each scheme of the chain says of this very request. It names no
// secret: outcomes, refusal codes and names alone.
func trace(auth *authn.Middleware) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, seen, err := auth.Explain(r)
		var refused *authn.Error
		if err != nil && !errors.As(err, &refused) { // what failed is the operator's affair
			authn.Respond(w, r, err)
			return
		}
		answer := struct {
			Outcome  string `json:"outcome"`
			Scheme   string `json:"scheme"`
			Username string `json:"username"`
			Steps    []step `json:"steps"`
		}{Outcome: "anonymous", Scheme: id.Scheme}
		if u, ok := id.User.(*storage.Account); ok {
			answer.Username = u.Name
		}
		switch {
		case refused != nil:
			answer.Outcome = "refused"
		case id.Authenticated():
			answer.Outcome = "accepted"
		}
		for _, s := range seen {
			answer.Steps = append(answer.Steps, step{s.Scheme, s.Outcome.String(), s.Why})
		}
		w.Header().Set("Cache-Control", "no-store")
		writeJSON(w, http.StatusOK, answer)
	}
}
