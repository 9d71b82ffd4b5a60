package server

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// Store is what a server reads and writes.
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

// Prefixes of the texts that a server issues. Each is followed by an underscore.
const (
	refreshPrefix = "vor"
	codePrefix    = "vac"
)

// The formats of these texts.
var (
	refreshFormat = credential.MustFormat(refreshPrefix)
	codeFormat    = credential.MustFormat(codePrefix)
	deviceFormat  = credential.MustFormat(devicePrefix)
	parFormat     = credential.MustFormat(parPrefix)
)

// Server is an authorization server. It is safe for concurrent use, once it is complete: see
// Extend.
type Server struct {
	api      *oauth2.Scheme
	apiOpts  oauth2.Options
	issuer   string
	path     string // of the issuer
	purpose  string // of its families
	store    Store
	opts     Options
	scopes   []string // sorted
	rotator  *rotation.Rotator
	frame    frame
	chosen   *chosenSecrets // nil: there are none
	counts   counts
	waiting  waiting
	tries    *tries
	cellMAC  keys.Key
	ownKey   keys.Key  // encrypts hints if there is no key ring
	extended Extension // what all extensions add
}

// New returns a server that issues the tokens that api accepts. It has the issuer, the audience,
// the clock and the DPoP verifier of api. store must be the one of api.
func New(api *oauth2.Scheme, store Store, opts *Options) (*Server, error) {
	if api == nil || store == nil {
		return nil, errors.New("server: New: api or store is nil")
	}
	s := &Server{api: api, apiOpts: api.Options(), issuer: api.Issuer(), store: store, purpose: purposeOf(api.Issuer()), tries: newTries()}
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	o.defaults()
	if err := o.check(s.apiOpts); err != nil {
		return nil, err
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
	if err := s.limit(); err != nil {
		return nil, err
	}
	_, _ = rand.Read(s.ownKey[:]) // never fails; see crypto/rand
	s.frame = newFrame(s)
	return s, nil
}

// text returns a new token text.
func (s *Server) text(prefix string) (string, error) {
	var body [credential.Size]byte
	if _, err := io.ReadFull(s.opts.Rand, body[:]); err != nil {
		return "", err
	}
	return credential.MustFormat(prefix).Encode(body), nil
}

// id returns a new identifier: 128 random bits.
func (s *Server) id() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.opts.Rand, b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// now is the time as every store keeps it.
func (s *Server) now() time.Time { return s.apiOpts.Clock().UTC().Truncate(time.Microsecond) }

// purposeOf distinguishes an issuer's families from others' in one store.
func purposeOf(issuer string) string {
	key := storage.BlockKeyOf("purpose", issuer, "oauth2")
	return "oauth2 " + base64.RawURLEncoding.EncodeToString(key[:15])
}
