// Package basic is HTTP Basic authentication (RFC 7617): a name and a password on
// every request. Use it for tests, and for clients that know nothing else. Each
// request costs a password hash, unless the checker keeps verified ones for a
// short time (password.Cached); the login limits hold.
//
// Basic is ambient in a browser: it sends the password by itself once it knows
// it.
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

// Options change a Scheme; nil is fine.
type Options struct {
	// Realm is named in the challenge; "api" where "".
	Realm string
	// Site says which pages may make a browser send the password on a request that
	// changes something. nil lets those of the server's own origin, as far
	// as it can tell (csrf.SameOrigin); requests of non-browsers pass in any case.
	Site *csrf.Site
}

// Scheme authenticates by name and password. It is safe for concurrent use.
type Scheme struct {
	pw        authn.PasswordChecker
	challenge string
	site      *csrf.Site
}

// New returns a scheme that has passwords checked by pw.
func New(pw authn.PasswordChecker, opts *Options) (*Scheme, error) {
	if pw == nil {
		return nil, errors.New("basic: a password checker is needed")
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

// Headers returns Authorization.
func (s *Scheme) Headers() []string { return []string{"Authorization"} }

// Formats returns everything under the keyword Basic.
func (s *Scheme) Formats() []authn.CredentialFormat {
	return []authn.CredentialFormat{{Keyword: "Basic"}}
}

// Challenge returns the challenge of RFC 7617, with charset="UTF-8".
func (s *Scheme) Challenge(*http.Request, error) string { return s.challenge }

// Authenticate looks for "Authorization: Basic <base64 of name:password>". The
// name ends at the first colon. Text that is not UTF-8 is read as Latin-1, as
// Django REST Framework does. Refusals are 401 in its words; a limit that is
// reached is 429. A cross-origin request of a browser that changes something is
// 403, since the browser sent the password by itself.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Basic", "basic")
	if err != nil {
		return authn.Identity{}, err
	}
	name, password, ok := decode(text)
	if !ok {
		return authn.Identity{}, errEncoding
	}
	if err := s.fromHere(r); err != nil {
		return authn.Identity{}, err
	}
	login, err := s.pw.CheckPassword(r, name, password)
	if err != nil {
		return authn.Identity{}, inBasicsWords(err)
	}
	id := authn.Identity{Subject: login.Subject, Scheme: "basic", Roles: login.Roles, User: login.User}
	keep, ok := login.KeepOf(s.pw)
	if !ok {
		return id, nil
	}
	check := keep.Check
	keep.Check = s.fromHere
	if check != nil {
		keep.Check = func(r *http.Request) error {
			if err := s.fromHere(r); err != nil {
				return err
			}
			return check(r)
		}
	}
	return id.Kept(s, keep), nil
}

// Presented implements authn.Keeper: if the checker keeps logins (password.Cached over a store
// that gives leases), identities are kept.
func (s *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	return authn.RawCredentials(r, "Basic"), true
}

// fromHere refuses what another site made a browser send.
func (s *Scheme) fromHere(r *http.Request) error {
	if !csrf.IsUnsafe(r) { // nothing to check
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

// inBasicsWords turns a checker's refusal of a login into that of this scheme. A
// password that is too long is a wrong one here: there is no form field to name.
func inBasicsWords(err error) error {
	var e *authn.Error
	if errors.As(err, &e) && e != nil && (e.Status == http.StatusUnauthorized || e.Status == http.StatusBadRequest) {
		return errInvalid.WithCause(e)
	}
	return err
}

var strict = base64.RawStdEncoding.Strict()

func decode(text string) (name, password string, ok bool) {
	text = strings.TrimRight(text, "=") // padding is optional
	var buf [256]byte                   // longer ones go to the heap
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
