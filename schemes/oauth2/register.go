package oauth2

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

// Registration says who may register clients by Register, and as what.
type Registration struct {
	// Allow returns nil for a request that may register a client: InitialToken is one. Its
	// *authn.Error refuses; any other error is a fault. It should limit how many clients
	// somebody may make.
	Allow func(*http.Request) error
	// Scopes are those that registered clients may ask for, all among Options.Scopes.
	Scopes []string
	// Resources are those that they may request tokens for, beside Options.Audience, which
	// every client may name. None of them makes a client a resource server: only an
	// administrator does (storage.Client.Serves).
	Resources []string
	// Grants are the grant types that they may use; nil is AuthorizationCode and RefreshToken.
	Grants []string
}

// Prefixes of the tokens' texts (RULES C9): what registers clients, and what a client
// manages its own registration with.
const (
	initialPrefix      = "vri"
	registrationPrefix = "vrg"
)

// ClientRegistered, ClientChanged and ClientDeleted: a client did that by itself.
const (
	ClientRegistered EventKind = "client_registered"
	ClientChanged    EventKind = "client_changed"
	ClientDeleted    EventKind = "client_deleted"
)

// NewInitialToken draws an initial access token (RFC 7591 section 3) and returns it with the
// digest that InitialToken wants.
func NewInitialToken() (text string, digest storage.Digest, err error) {
	var body [tokentext.Size]byte
	if _, err := rand.Read(body[:]); err != nil {
		return "", digest, err
	}
	text = tokentext.Encode(initialPrefix, body)
	return text, storage.DigestOf(text), nil
}

// InitialToken is a Registration.Allow that takes any of these tokens, under Bearer, as often as
// they come.
func InitialToken(digests ...storage.Digest) func(*http.Request) error {
	digests = slices.Clone(digests)
	return func(r *http.Request) error {
		text, err := authn.Credentials(r, "Bearer", "token")
		if err != nil {
			return err
		}
		if !tokentext.Valid(initialPrefix, text) || !slices.ContainsFunc(digests, func(d storage.Digest) bool { return isDigest(text, d) }) {
			return authn.AuthenticationFailed("Invalid token.")
		}
		return nil
	}
}

func isDigest(text string, d storage.Digest) bool {
	got := storage.DigestOf(text)
	return !d.IsZero() && subtle.ConstantTimeCompare(got[:], d[:]) == 1
}

// check completes and checks the options.
func (g *Registration) check(scopes map[string]string) error {
	if g.Grants == nil {
		g.Grants = []string{AuthorizationCode, RefreshToken}
	}
	for _, name := range g.Scopes {
		if _, ok := scopes[name]; !ok {
			return fmt.Errorf("oauth2: scope %q of Registration is not among Options.Scopes", name)
		}
	}
	if g.Allow == nil {
		return errors.New("oauth2: Registration without Allow: it says who may register clients")
	}
	return nil
}

// Register returns the endpoint by which clients register (RFC 7591): POST of a JSON object
// with the client's metadata, answered with 201, the "client_id", the "client_secret" of a
// confidential client, once, and the token for Registered. Options.Registration says who may;
// CheckClient says what can be registered. Members that are not known are ignored, and
// nothing that they name is fetched. Mount it outside the chain.
func (s *Server) Register() http.Handler {
	s.mayRegister("Register")
	return s.cors("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := s.register(w, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		write(w, http.StatusCreated, answer)
	}))
}

func (s *Server) mayRegister(what string) {
	if s.opts.Registration == nil {
		panic("oauth2: " + what + " without Options.Registration")
	}
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) (*registered, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &Error{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "The request is not a POST."}
	}
	if err := allowed(callAllow(s.opts.Registration.Allow, r)); err != nil {
		return nil, err
	}
	m, err := readMetadata(w, r)
	if err != nil {
		return nil, err
	}
	id, err := s.id()
	if err != nil {
		return nil, err
	}
	token, err := s.text(registrationPrefix)
	if err != nil {
		return nil, err
	}
	c := storage.Client{ID: id, Created: s.now(), Registration: storage.DigestOf(token), Resources: slices.Clone(s.opts.Registration.Resources)}
	secret, err := s.apply(m, &c)
	if err != nil {
		return nil, err
	}
	if s.opts.Limits != nil {
		all := pool{[]string{workRegister.name, "all"}, s.opts.Limits.MaxRegistrations, 24 * time.Hour, true}
		if err := s.admitShared(r, workRegister, all); err != nil {
			return nil, err
		}
	}
	if err := s.store.CreateClient(r.Context(), c); err != nil {
		return nil, err
	}
	s.tell(r.Context(), Event{Kind: ClientRegistered, Client: c.ID})
	return s.describe(c, secret, token), nil
}

// allowed makes a refusal of RFC 6750 of one of a chain's.
func allowed(err error) error {
	var e *authn.Error
	switch {
	case errors.As(err, &e) && e.Status == http.StatusTooManyRequests:
		return err
	case errors.As(err, &e) && e.Status == http.StatusForbidden:
		return (&Error{Status: http.StatusForbidden, Code: "access_denied", Description: "Registration was refused."}).with(err)
	case errors.As(err, &e), errors.Is(err, authn.ErrNoCredentials):
		return errToken.with(err)
	}
	return err
}

var errToken = &Error{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "The access token is missing or invalid.", challenge: `Bearer error="invalid_token"`}

func badMetadata(description string) *Error { return refuse("invalid_client_metadata", description) }

// readMetadata reads the JSON object of a registration.
func readMetadata(w http.ResponseWriter, r *http.Request) (clientMetadata, error) {
	var m clientMetadata
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return m, badMetadata("The body is not application/json.")
	}
	body, err := readAll(w, r, maxForm)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return m, &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_client_metadata", Description: "The body is too large."}
		}
		return m, badMetadata("The body could not be read.")
	}
	if err := m.decode([]byte(body)); err != nil {
		return m, badMetadata("The body is no JSON object, or a member is not of its type.").with(err)
	}
	return m, nil
}

// apply puts what a client says of itself into its record, and returns a secret where it
// gets a new one.
func (s *Server) apply(m clientMetadata, c *storage.Client) (secret string, err error) {
	g := s.opts.Registration
	c.Name, c.Method, c.RedirectURIs, c.Native = m.Name, cmp.Or(m.Method, SecretBasic), m.RedirectURIs, m.Type == "native"
	if c.Grants = m.Grants; c.Grants == nil {
		c.Grants = []string{AuthorizationCode}
	}
	if c.Scopes = words(m.Scope); m.Scope == "" {
		c.Scopes = slices.Clone(g.Scopes)
	}
	c.Default, c.Keys = nil, nil
	if c.Method == "private_key_jwt" {
		c.Keys = m.Keys
	}
	unknown := func(list, known []string) bool {
		return slices.ContainsFunc(list, func(one string) bool { return !slices.Contains(known, one) })
	}
	for _, uri := range c.RedirectURIs {
		if err := CheckRedirect(uri, c.Native); err != nil {
			return "", refuse("invalid_redirect_uri", "A redirect URI can not be registered: https, or a loopback address, or for a native client a private scheme, without a fragment.").with(err)
		}
	}
	switch {
	case slices.Contains(c.Grants, AuthorizationCode) && len(c.RedirectURIs) == 0:
		return "", refuse("invalid_redirect_uri", "A redirect URI is needed.")
	case m.Type != "" && m.Type != "web" && m.Type != "native":
		return "", badMetadata("The application_type is unknown.")
	case strings.ContainsFunc(c.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", badMetadata("The client_name holds characters that can not be shown.")
	case unknown(c.Grants, g.Grants):
		return "", badMetadata("A grant type is unknown, or not for registered clients.")
	case unknown(m.Responses, []string{"code"}), m.Responses != nil && slices.Contains(m.Responses, "code") != slices.Contains(c.Grants, AuthorizationCode):
		return "", badMetadata("The response types are unknown, or do not fit the grant types.")
	case unknown(c.Scopes, g.Scopes):
		return "", badMetadata("A scope is unknown, or not for registered clients.")
	}
	bySecret := c.Method == SecretBasic || c.Method == SecretPost
	if !bySecret {
		c.Secret, c.Password = storage.Digest{}, ""
	}
	if err := CheckClient(*c); err != nil {
		return "", badMetadata("The metadata do not fit together.").with(err)
	}
	if bySecret && c.Secret.IsZero() && c.Password == "" {
		if secret, err = s.text(secretPrefix); err != nil {
			return "", err
		}
		c.Secret = storage.DigestOf(secret)
	}
	return secret, nil
}

func callAllow(allow func(*http.Request) error, r *http.Request) error {
	_, err := audit.Call("oauth2.Registration.Allow", func() (any, error) { return nil, allow(r) })
	return err
}
