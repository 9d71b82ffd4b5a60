package main

import (
	"net/http"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// #region verifier

// newVerifier returns the service that accepts the issuer's tokens. It needs no database for that,
// only the public keys, which it fetches from the address jwks and keeps.
func newVerifier(jwks string, clock func() time.Time) (http.Handler, error) {
	remote, err := jose.NewRemoteKeySet(jwks, &jose.RemoteOptions{
		Algorithms: []jose.Algorithm{jose.ES256}, // the issuer's, and no others
		Insecure:   true,                         // http on this machine; production uses https
		Clock:      clock,
	})
	if err != nil {
		return nil, err
	}
	tokens, err := jwt.NewVerifier(issuerName, apiName, remote, &jwt.VerifierOptions{
		OwnIssuer: true,              // the issuer is ours: its subjects are our users
		Roles:     []string{"roles"}, // the claim with the roles, for authz.IsAdmin
		Leeway:    5 * time.Second,
		Clock:     clock,
	})
	if err != nil {
		return nil, err
	}
	n := &notes{byOwner: map[string][]string{}}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, &authn.Options{Clock: clock}))
	mux.HandleFunc("GET /notes", n.list, authz.IsAuthenticated)
	mux.HandleFunc("POST /notes", n.add, authz.IsAuthenticated)
	return mux, nil
}

// notes are those of each user. The owner is the token's subject: the issuer's ID of the account.
type notes struct {
	mu      sync.Mutex
	byOwner map[string][]string
}

func (n *notes) list(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	list := append([]string{}, n.byOwner[authn.FromContext(r.Context()).Subject]...)
	n.mu.Unlock()
	writeJSON(w, list)
}

func (n *notes) add(w http.ResponseWriter, r *http.Request) {
	v, err := login.Read(w, r, login.Field{Name: "text", Trim: true, MaxBytes: 4000})
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	owner := authn.FromContext(r.Context()).Subject
	n.mu.Lock()
	full := len(n.byOwner[owner]) >= 100
	if !full {
		n.byOwner[owner] = append(n.byOwner[owner], v[0])
	}
	n.mu.Unlock()
	if full {
		authn.Respond(w, r, authn.PermissionDenied("You have 100 notes already."))
		return
	}
	n.list(w, r)
}

// #endregion verifier
