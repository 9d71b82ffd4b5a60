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

// Options are the rights of clients that register themselves; nil is fine.
type Options struct {
	// Scopes are those that they may request, all among the server's.
	Scopes []string
	// Resources are those that they may request tokens for, in addition to the server's API,
	// which every client may name. None of them makes a client a resource server: only an
	// administrator does (storage.Client.Serves).
	Resources []string
	// Grants are the grant types that they may use; nil is authorization_code and
	// refresh_token.
	Grants []string
}

// Prefixes of the texts: of initial access tokens, and of the tokens by which clients manage
// their registration.
const (
	initialPrefix      = "vri"
	registrationPrefix = "vrg"
)

// The formats of these texts.
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

// New adds registration to a server. allow decides who may register a client: it returns nil, an
// *authn.Error to reject the request, or any other error for a fault. InitialAccessToken returns
// one. allow should limit how many clients a caller can register.
//
// It fails if a scope is not one of the server's: construct package openid first.
func New(srv *server.Server, allow func(*http.Request) error, opts *Options) (*Registration, error) {
	if srv == nil || allow == nil {
		return nil, errors.New("registration: New: srv or allow is nil")
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
			return nil, fmt.Errorf("registration: New: scope %q is not one of the server's", name)
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

// NewInitialAccessToken returns a new initial access token (RFC 7591, section 3) and the digest
// that InitialAccessToken needs.
func NewInitialAccessToken() (text string, digest storage.Digest, err error) {
	var body [credential.Size]byte
	if _, err := rand.Read(body[:]); err != nil {
		return "", digest, err
	}
	text = initialFormat.Encode(body)
	return text, storage.DigestOf(text), nil
}

// InitialAccessToken returns a function for New that accepts any of these tokens under Bearer,
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
