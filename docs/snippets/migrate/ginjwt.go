// Package migrate accepts what programs with gin-jwt, scs and gorilla/sessions issued, until their
// users have credentials of Vestibule.
package migrate

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
)

// #region ginjwt

// GinJWT accepts the tokens that gin-jwt signed. Put it into the chain after the other schemes for
// Bearer.
type GinJWT struct {
	Keys             jose.KeySource // the Key of the old middleware
	Claim            string         // its IdentityKey, if the claim holds the name of the account
	Issuer, Audience string         // the claims iss and aud, if PayloadFunc adds them
	Until            time.Time      // from then on, no token is accepted
	DB               Moving
}

// Name is the scheme of its identities.
func (GinJWT) Name() string { return "ginjwt" }

// Headers are the headers that it reads.
func (GinJWT) Headers() []string { return []string{"Authorization"} }

// Formats says that it accepts what the other schemes for Bearer do not.
func (GinJWT) Formats() []authn.CredentialFormat {
	return []authn.CredentialFormat{{Keyword: "Bearer", Format: authn.AnyFormat}}
}

// Challenge is the Bearer challenge of a 401.
func (GinJWT) Challenge(_ *http.Request, err error) string { return authn.BearerChallenge{}.For(err) }

// Authenticate verifies the signature and the expiry as gin-jwt does. It also reads the account, so
// a disabled one is rejected, and rejects tokens that another program signed with the same key.
func (g GinJWT) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Bearer", "token")
	if err != nil {
		return authn.Identity{}, err
	}
	rejected := authn.AuthenticationFailed("Invalid token.")
	t, err := jose.Verify(r.Context(), text, g.Keys, "JWT")
	if errors.Is(err, jose.ErrInvalid) {
		return authn.Identity{}, rejected.WithCause(err)
	} else if err != nil {
		return authn.Identity{}, err // 503
	}
	issued, err := t.Claims.Time("orig_iat") // in every token of gin-jwt
	if err != nil || !g.ours(t.Claims) {
		return authn.Identity{}, rejected
	}
	expires, err := t.Claims.Time("exp")
	name, _ := t.Claims.Text(g.Claim)
	now := time.Now()
	if err != nil || name == "" || !now.Before(expires) || !now.Before(g.Until) {
		return authn.Identity{}, rejected
	}
	user, err := g.DB.UserByName(r.Context(), name)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return authn.Identity{}, rejected
	case err != nil:
		return authn.Identity{}, err
	case !user.Active, user.Epoch != 0: // disabled, or revoked: the token may be older than that
		return authn.Identity{}, rejected
	case user.Name != name, user.Created.IsZero(), user.Created.Unix() > issued.Unix():
		return authn.Identity{}, rejected // an account that had the name before may have got the token
	}
	if revoked, err := g.DB.Revoked(r.Context(), user.ID); err != nil {
		return authn.Identity{}, err
	} else if revoked {
		return authn.Identity{}, rejected
	}
	return authn.Identity{
		Subject: user.ID, Scheme: g.Name(), Roles: user.Roles, User: user.WithPermissions(g.DB), Expires: expires,
	}, nil
}

// ours reports whether the token is for this program. A claim that is not expected is not ignored.
func (g GinJWT) ours(c jose.Claims) bool {
	r, err := c.Registered()
	switch {
	case err != nil, r.Issuer != g.Issuer:
		return false
	case g.Audience == "":
		return len(r.Audience) == 0
	}
	return slices.Contains(r.Audience, g.Audience)
}

// #endregion ginjwt

// #region ginrefresh

// mountRefresh adds the endpoint at which clients refresh. A token of gin-jwt is exchanged for a
// device token. A client that refreshes again keeps its device token.
func mountRefresh(mux *authz.Mux, path string, devices *knox.Scheme) {
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		text, expires := authn.RawCredentials(r, "Bearer"), id.Expires
		if id.Scheme == "ginjwt" {
			issued, record, err := devices.Issue(moved(r.Context()), id.Subject, 0, knox.Token{Name: "moved"})
			if errors.Is(err, storage.ErrStale) { // revoked or disabled at this moment
				err = authn.AuthenticationFailed("Invalid token.")
			}
			if err != nil {
				authn.Respond(w, r, err)
				return
			}
			text, expires = issued, record.Expires
		}
		answer := map[string]any{"code": http.StatusOK, "token": text, "expire": expires.Format(time.RFC3339)}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			slog.Debug("response not sent", "error", err) // the client has gone
		}
	}, authz.FirstParty, authz.ViaScheme("ginjwt", "knox"))
}

// #endregion ginrefresh

// #region ginchain

// newChain returns the scheme of the device tokens, and a chain that accepts them. Until the date,
// the chain also accepts the tokens that gin-jwt signed with secret, unless the scheme has revoked a
// token of the account.
func newChain(db Store, secret []byte, until time.Time) (*knox.Scheme, authn.Chain, error) {
	key, err := jose.NewSecret("gin-jwt", jose.HS256, secret)
	if err != nil {
		return nil, nil, err
	}
	old, err := jose.NewKeySet(key)
	if err != nil {
		return nil, nil, err
	}
	moving := Moving{db}
	devices, err := knox.New(moving, nil)
	if err != nil {
		return nil, nil, err
	}
	return devices, authn.Chain{devices, GinJWT{Keys: old, Claim: "id", Until: until, DB: moving}}, nil
}

// #endregion ginchain
