package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// Store is the store of a [Server].
type Store interface {
	storage.Users
	storage.Clients
	storage.Codes
	storage.AccessTokens
	storage.Families
	storage.AuthRequests
	storage.Blocklist
	storage.DeviceGrants
	storage.Attempts
	storage.Consents
	storage.Replays
	storage.Transactor
}

// Prefixes of the secrets that a server issues. An underscore follows each.
const (
	refreshPrefix = "vor"
	codePrefix    = "vac"
)

// The formats of these secrets.
var (
	refreshFormat = credential.MustFormat(refreshPrefix)
	codeFormat    = credential.MustFormat(codePrefix)
	deviceFormat  = credential.MustFormat(devicePrefix)
	parFormat     = credential.MustFormat(parPrefix)
)

// Server is an authorization server. It is safe for concurrent use after all extensions were added;
// see [Server.Extend].
type Server struct {
	api       *oauth2.Scheme
	apiOpts   oauth2.Options
	issuer    string
	path      string // path of the issuer
	purpose   string // purpose of its families
	store     Store
	opts      Options
	scopes    []string // sorted
	rotator   *rotation.Rotator
	frame     frame
	chosen    *chosenSecrets // nil without chosen secrets
	counts    counts
	waiting   waiting
	tries     *tries
	cellMAC   keys.Key
	ownKey    keys.Key // encrypts hints if there is no key ring
	fetches   *fetches
	keySets   *keySets
	documents *documents // nil without ClientDocuments
	extended  Extension  // the sum of all extensions, without their metadata
	described []func(context.Context) (any, error)
	fellBack  atomic.Bool // the limiter is failing
}

// New returns a server that issues the tokens that api accepts. It uses the issuer, audience, clock
// and DPoP verifier of api. store must be the store of api. It returns an error if api or store is
// nil, or if an option is out of range.
func New(api *oauth2.Scheme, store Store, opts *Options) (*Server, error) {
	if api == nil || store == nil {
		return nil, errors.New("server: New: api and store are required")
	}
	s := &Server{api: api, apiOpts: api.Options(), issuer: api.Issuer(), store: store, purpose: purposeOf(api.Issuer()), tries: newTries()}
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	if err := o.Audit.CheckStore(store); err != nil {
		return nil, fmt.Errorf("server: New: %w", err)
	}
	o.defaults()
	if err := o.check(s.apiOpts); err != nil {
		return nil, err
	}
	if o.FAPI2 {
		s.apiOpts.DPoP = s.apiOpts.DPoP.WithoutRS256()
	}
	if recent := storage.UnchangedTokensOf(store); recent != nil && s.apiOpts.SignedAccess != nil {
		if most, _ := recent.TokenLifetime(); o.AccessTTL > most {
			return nil, fmt.Errorf("server: New: AccessTTL %v of signed tokens exceeds the lifetime of the store's deny set (%v; set cached.DenySet.Lifetime in every process first)", o.AccessTTL, most)
		}
	}
	s.scopes = slices.Sorted(maps.Keys(o.Scopes))
	u, err := url.Parse(s.issuer)
	if err != nil {
		return nil, err
	}
	s.path = u.EscapedPath()
	s.rotator, err = rotation.New(store, &rotation.Options{
		Grace: s.apiOpts.Grace, Idle: o.RefreshTTL, Absolute: o.AbsoluteTTL, Block: o.AccessTTL + oauth2.Leeway, Clock: s.apiOpts.Clock,
	})
	if err != nil {
		return nil, fmt.Errorf("server: New: %w", err)
	}
	if s.chosen, err = newChosenSecrets(o, s.apiOpts.Clock); err != nil {
		return nil, err
	}
	if s.fetches, err = newFetches(s.issuer, o.Fetching); err != nil {
		return nil, err
	}
	s.keySets = newKeySets()
	if s.documents, err = newDocuments(o.ClientDocuments); err != nil {
		return nil, err
	}
	if err := s.limit(); err != nil {
		return nil, err
	}
	_, _ = rand.Read(s.ownKey[:]) // cannot fail; see crypto/rand
	s.frame = newFrame(s)
	return s, nil
}

// text returns a new secret with a prefix.
func (s *Server) text(prefix string) (string, error) {
	var body [credential.Size]byte
	if _, err := io.ReadFull(s.opts.Rand, body[:]); err != nil {
		return "", err
	}
	return credential.MustFormat(prefix).Encode(body), nil
}

// id returns a new identifier of 128 random bits.
func (s *Server) id() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.opts.Rand, b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// now returns the current time in the precision of stores.
func (s *Server) now() time.Time { return s.apiOpts.Clock().UTC().Truncate(time.Microsecond) }

// purposeOf returns the purpose of an issuer's families, which separates them from those of other
// issuers.
func purposeOf(issuer string) string {
	key := storage.BlockKeyOf("purpose", issuer, "oauth2")
	return "oauth2 " + base64.RawURLEncoding.EncodeToString(key[:15])
}
