package registration

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options are the rights of clients that register themselves. A nil *Options means all defaults.
type Options struct {
	// Scopes are the scopes that such clients may request; all of them must be scopes of the
	// server. Nil means none.
	Scopes []string
	// Default are the scopes of a client that registers without "scope"; all of them must be in
	// Scopes. Nil means all of Scopes.
	Default []string
	// Resources are the resources for which such clients may request tokens, in addition to the
	// server's own API, which is allowed for every client. A resource in this list does not make a
	// client a resource server. Only an administrator can do that (storage.Client.Serves).
	Resources []string
	// Grants are the grant types that such clients may use. Nil means authorization_code and
	// refresh_token.
	Grants []string
}

// Prefixes of initial access tokens, and of the tokens with which clients manage their
// registration.
const (
	initialPrefix      = "vri"
	registrationPrefix = "vrg"
)

// The formats of these tokens.
var (
	initialFormat      = credential.MustFormat(initialPrefix)
	registrationFormat = credential.MustFormat(registrationPrefix)
)

// Registration lets clients register. It is safe for concurrent use.
type Registration struct {
	server *server.Server
	store  server.Store
	log    *slog.Logger
	allow  func(*http.Request) error
	opts   Options
}

// New adds registration to a server. The function allow decides whether a request may register a
// client: it returns nil, an *authn.Error to reject the request, or any other error if the decision
// failed. InitialAccessToken returns such a function. Your own function should limit how many
// clients a caller can register.
//
// New returns an error if srv or allow is nil, or if a scope is not a scope of the server. If you
// use package openid, call openid.New first, because it adds scopes.
func New(srv *server.Server, allow func(*http.Request) error, opts *Options) (*Registration, error) {
	if srv == nil || allow == nil {
		return nil, errors.New("registration: New: srv and allow are required")
	}
	g := &Registration{server: srv, store: srv.Store(), log: srv.Options().Logger, allow: allow}
	if opts != nil {
		g.opts = *opts
	}
	if g.opts.Grants == nil {
		g.opts.Grants = []string{oauth2.AuthorizationCode, oauth2.RefreshToken}
	}
	for _, name := range g.opts.Scopes {
		if _, ok := srv.Options().Scopes[name]; !ok {
			return nil, fmt.Errorf("registration: New: scope %q is not a scope of the server", name)
		}
	}
	for _, name := range g.opts.Default {
		if !slices.Contains(g.opts.Scopes, name) {
			return nil, fmt.Errorf("registration: New: default scope %q is not in Scopes", name)
		}
	}
	path := srv.Options().Endpoints.Register
	configuration := srv.Route(path+"/{id}", g.ClientConfiguration(), server.ForClients)
	if path == "-" {
		configuration = server.Route{}
	}
	err := srv.Extend(server.Extension{Registration: path, Routes: []server.Route{srv.Route(path, g.Register(), server.ForClients), configuration}})
	if err != nil {
		return nil, fmt.Errorf("registration: New: %w", err)
	}
	return g, nil
}

// NewInitialAccessToken returns a new initial access token (RFC 7591, section 3) and its digest for
// [InitialAccessToken].
func NewInitialAccessToken() (text string, digest storage.Digest, err error) {
	var body [credential.Size]byte
	if _, err := rand.Read(body[:]); err != nil {
		return "", digest, err
	}
	text = initialFormat.Encode(body)
	return text, storage.DigestOf(text), nil
}

// InitialAccessToken returns a function for [New] that accepts any of these tokens under Bearer,
// any number of times.
func InitialAccessToken(digests ...storage.Digest) func(*http.Request) error {
	digests = slices.Clone(digests)
	return func(r *http.Request) error {
		text, err := authn.Credentials(r, "Bearer", "token")
		if err != nil {
			return err
		}
		if !initialFormat.Valid(text) || !slices.ContainsFunc(digests, func(d storage.Digest) bool { return isDigest(text, d) }) {
			return authn.AuthenticationFailed("Invalid token.")
		}
		return nil
	}
}

func isDigest(text string, d storage.Digest) bool {
	got := storage.DigestOf(text)
	return !d.IsZero() && subtle.ConstantTimeCompare(got[:], d[:]) == 1
}
