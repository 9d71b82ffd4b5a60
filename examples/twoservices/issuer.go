package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// #region issuer

// newIssuer returns the service that has the accounts and signs the tokens. A real one opens a
// database and loads its master key from a secret (keys.Load).
func newIssuer(ctx context.Context, clock func() time.Time) (http.Handler, error) {
	db := memory.New(&memory.Options{Clock: clock})
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		return nil, err
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(db, hasher, nil)
	if err != nil {
		return nil, err
	}
	for _, u := range []password.NewUser{
		{Name: "alice", Password: "wonderland-42"},
		{Name: "root", Password: "looking-glass-42", Roles: []string{"admin"}},
	} {
		if _, err := passwords.Register(ctx, u); err != nil {
			return nil, err
		}
	}
	// The private keys are in the database, encrypted under the master key. ES256 is understood by
	// every JWT library; the default, EdDSA, is not.
	signing, err := jwt.NewStoredKeys(db, ring, issuerName, &jwt.KeyOptions{
		Algorithm: jose.ES256, Clock: clock, Rotating: &jose.ReloadingOptions{Clock: clock},
	})
	if err != nil {
		return nil, err
	}
	if err := signing.Ensure(ctx); err != nil { // creates the first key
		return nil, err
	}
	// An access token lives for 5 minutes. That is how long a verifier may accept it after a logout.
	tokens, err := jwt.New(issuerName, apiName, signing, db, &jwt.Options{Clock: clock})
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, &authn.Options{Clock: clock}))
	mux.Public("POST /login", tokens.Login(passwords))
	mux.Public("POST /refresh", tokens.RefreshPair())
	mux.Public("POST /logout", tokens.Logout())
	mux.Public("GET /.well-known/jwks.json", tokens.JWKS())
	mux.HandleFunc("POST /keys/rotate", rotate(signing), authz.IsAdmin)
	return mux, nil
}

// rotate creates the next signing key. It is published at once and signs ten minutes later, when
// every verifier has it. The old key verifies for another day.
func rotate(signing *jwt.StoredKeys) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key, err := signing.Rotate(r.Context())
		if errors.Is(err, jwt.ErrPending) || errors.Is(err, storage.ErrConflict) {
			err = authn.BadRequest("A rotation is under way.").WithCause(err)
		}
		if err != nil {
			authn.Respond(w, r, err)
			return
		}
		writeJSON(w, map[string]any{"key": key.ID, "signs_from": key.SignsFrom})
	}
}

// #endregion issuer

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("response not sent", "error", err) // the client has gone
	}
}
