// Package basic implements HTTP Basic authentication (RFC 7617): every request carries a name and a
// password.
//
// Use it for tests, and for clients that support nothing else. Each request costs a password hash,
// unless the checker caches verified passwords (see password.Cached). The login limits apply to
// every request.
//
// Browsers send the password automatically once they know it, so the scheme rejects unsafe requests
// from other origins.
package basic

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/credential"
)

// Options configure a [Scheme]. A nil *Options means all defaults.
type Options struct {
	// Realm is the realm in the challenge; "" means "api".
	Realm string
	// Site determines which pages may make a browser send unsafe requests with the password. Nil
	// accepts pages of the origin of the request, if the server can determine this origin
	// (csrf.SameOrigin). Requests of programs that are not browsers are accepted, unless
	// csrf.Options.Strict is set.
	Site *csrf.Site
}

// Scheme authenticates by name and password. It is safe for concurrent use.
type Scheme struct {
	pw        authn.PasswordChecker
	challenge string
	site      *csrf.Site
}

// New returns a scheme that checks passwords with pw. It returns an error if pw is nil or the realm
// is invalid.
func New(pw authn.PasswordChecker, opts *Options) (*Scheme, error) {
	if pw == nil {
		return nil, errors.New("basic: New: the password checker is nil")
	}
	realm, site := "api", (*csrf.Site)(nil)
	if opts != nil && opts.Realm != "" {
		realm = opts.Realm
	}
	if opts != nil {
		site = opts.Site
	}
	if err := credential.CheckRealm(realm); err != nil {
		return nil, fmt.Errorf("basic: New: %w", err)
	}
	return &Scheme{pw: pw, challenge: credential.Challenge("Basic", realm) + `, charset="UTF-8"`, site: site}, nil
}

// Name returns "basic".
func (s *Scheme) Name() string { return "basic" }

// Headers returns "Authorization".
func (s *Scheme) Headers() []string { return []string{"Authorization"} }

// Formats returns one format: any text after the keyword Basic.
func (s *Scheme) Formats() []authn.CredentialFormat {
	return []authn.CredentialFormat{{Keyword: "Basic"}}
}

// Challenge returns the challenge of RFC 7617 with charset="UTF-8".
func (s *Scheme) Challenge(*http.Request, error) string { return s.challenge }

// Proves implements authn.Prover: a program that sends the password proves the user's identity with
// each request. A browser stores the password, and sends it without asking the user.
func (s *Scheme) Proves(r *http.Request) bool { return !authn.FromBrowser(r) }

// Authenticate reads "Authorization: Basic <base64 of name:password>". The name ends at the first
// colon. Text that is not UTF-8 is decoded as Latin-1, as in Django REST Framework.
//
// Malformed and wrong credentials are rejected with 401 in Django REST Framework's words. The
// status is 429 if a limit is reached, and 403 for an unsafe request from another origin, because
// the browser added the password automatically. Errors of the checker's store are returned
// unchanged.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Basic", "basic")
	if err != nil {
		return authn.Identity{}, err
	}
	name, password, ok := decode(text)
	if !ok {
		return authn.Identity{}, errEncoding
	}
	if err := s.checkOrigin(r); err != nil {
		return authn.Identity{}, err
	}
	login, err := s.pw.CheckPassword(r, name, password)
	if err != nil {
		return authn.Identity{}, asBasicError(err)
	}
	id := authn.Identity{Subject: login.Subject, Scheme: "basic", Roles: login.Roles, User: login.User}
	id.SetStore(login.Store())
	keep, ok := login.KeepOf(s.pw)
	if !ok {
		return id, nil
	}
	check := keep.Check
	keep.Check = s.checkOrigin
	if check != nil {
		keep.Check = func(r *http.Request) error {
			if err := s.checkOrigin(r); err != nil {
				return err
			}
			return check(r)
		}
	}
	return id.Kept(s, keep), nil
}

// Presented implements authn.Keeper. The middleware keeps identities if the checker keeps logins
// (password.Cached over a store with leases).
func (s *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	return authn.RawCredentials(r, "Basic"), true
}

// checkOrigin rejects an unsafe request that another site made a browser send.
func (s *Scheme) checkOrigin(r *http.Request) error {
	if !csrf.IsUnsafe(r) { // safe methods are not checked
		return nil
	}
	if s.site != nil {
		return s.site.Check(r)
	}
	return csrf.SameOrigin(r)
}

var (
	errEncoding = authn.AuthenticationFailed("Invalid basic header. Credentials not correctly base64 encoded.")
	errInvalid  = authn.AuthenticationFailed("Invalid username/password.")
)

// asBasicError converts the checker's rejection of a login to the one of this scheme. A password
// that is too long is a wrong password here, because there is no form field to name.
func asBasicError(err error) error {
	var e *authn.Error
	if errors.As(err, &e) && e != nil && (e.Status == http.StatusUnauthorized || e.Status == http.StatusBadRequest) {
		return errInvalid.WithCause(e)
	}
	return err
}

var strict = base64.RawStdEncoding.Strict()

func decode(text string) (name, password string, ok bool) {
	text = strings.TrimRight(text, "=") // padding is optional
	var buf [256]byte                   // longer credentials are allocated on the heap
	raw, err := strict.AppendDecode(buf[:0], []byte(text))
	if err != nil {
		return "", "", false
	}
	s := string(raw)
	if !utf8.Valid(raw) {
		runes := make([]rune, len(raw))
		for i, b := range raw {
			runes[i] = rune(b)
		}
		s = string(runes)
	}
	return strings.Cut(s, ":")
}
