package authn

import (
	"context"
	"net/http"
	"strconv"
)

// Challenger is an Authenticator that has a challenge. Challenge returns the
// value of WWW-Authenticate for a request that err refused, or "" for none. Several challenges
// are separated by commas (RFC 9110, section 11.6.1). For a scheme with bearer tokens
// use [BearerChallenge].
//
// err wraps ErrNoCredentials if a credential is missing. It is an *Error if this scheme refused
// the credential, or if it accepted it and the identity lacks a scope: a 403 with the code
// [CodeInsufficientScope]. New calls Challenge once with a request that has no more than a method and a
// path, to find schemes that name different resource_metadata.
type Challenger interface {
	Challenge(r *http.Request, err error) string
}

// Renewer is an Authenticator that has something to say on the response of a
// request it accepted: a sliding cookie, a Vary header. It runs before the
// handler. An *Error refuses the request; any other error is logged and the
// request goes on, since who makes it is known.
type Renewer interface {
	Renew(w http.ResponseWriter, r *http.Request, id Identity) error
}

// HeaderReader is an Authenticator that looks at named headers alone: a request
// that has none of them holds no credential of its kind, so a Chain does not ask
// it. The names are in canonical form and do not change. One that reads "Cookie"
// and not "Authorization" is ambient: an explicit Authorization goes before it.
// A decorator is called for every request unless it implements this
// itself. If a scheme and what it decorates (Unwrap) do not declare their headers, every answer
// has "Vary: *", because a cache cannot know what it depends on, and the scheme sees no cookies
// of a request with an Authorization that another scheme recognizes (see [Chain]). A scheme that
// needs both declares both.
type HeaderReader interface {
	Headers() []string
}

// Ambient is an Authenticator whose credential is sent by somebody else than the code
// that makes the request: a browser's cookie, a header of a proxy in front. One that
// says so and does not declare that it reads Authorization is called after those that do if there
// is an Authorization: an explicit credential goes before it. A scheme that declares "Cookie"
// need not say it; one that reads the header of a proxy and declares nothing must.
type Ambient interface {
	Ambient() bool
}

// Namer is an Authenticator that has a name: the one it puts into
// Identity.Scheme. Logs, metrics and audits use it.
type Namer interface {
	Name() string
}

// CredentialFormat is a format of credentials that a scheme accepts: a keyword of Authorization, and
// what follows it. Format is free text that two schemes with equal formats spell alike, such as
// "vst_" or "hex40"; "" is everything under the keyword, and AnyFormat what no scheme before it in
// the chain accepts.
//
// Prefix, if it is not "", is how all credentials of the format begin: a chain then does not ask the
// scheme for others.
type CredentialFormat struct{ Keyword, Format, Prefix string }

// AnyFormat is the Format of a scheme that accepts what is left under a keyword. It must be after
// the other schemes of that keyword in the chain: they would never see a credential.
const AnyFormat = "*"

// JWTFormat returns the Format of the JSON Web Tokens of an issuer for an audience; "" is all of
// the issuer's tokens. Issuers are equal or different: one whose name begins like another's is
// another issuer.
func JWTFormat(issuer, audience string) string {
	format := "jwt " + strconv.Quote(issuer) + " "
	if audience != "" {
		format += strconv.Quote(audience)
	}
	return format
}

// FormatDeclarer is an Authenticator that declares the formats of its credentials, so that two
// schemes of one chain that would accept each other's credentials are found at construction.
type FormatDeclarer interface {
	Formats() []CredentialFormat
}

// AbilityOf finds an ability of a: a itself, what it decorates (a decorator has
// Unwrap() Authenticator), or the first member of a Chain that has it.
func AbilityOf[T any](a Authenticator) (T, bool) {
	for a != nil {
		if t, ok := a.(T); ok {
			return t, true
		}
		if c, ok := a.(Chain); ok {
			for _, m := range c {
				if t, ok := AbilityOf[T](m); ok {
					return t, true
				}
			}
			break
		}
		u, ok := a.(interface{ Unwrap() Authenticator })
		if !ok {
			break
		}
		a = u.Unwrap()
	}
	var none T
	return none, false
}

// Login is an account that has just proved its password.
type Login struct {
	// Subject and Name are the account's immutable identifier and its name.
	Subject, Name string
	Roles         []string
	User          User
	// Epoch is the subject's epoch, read before the password was verified.
	// Whoever issues a credential notes it there.
	Epoch int64
	// Cookies are to be set on the answer of a login endpoint, such as a device
	// cookie.
	Cookies []*http.Cookie

	mark *mark[PasswordChecker] // see Kept
}

// PasswordChecker checks a name and a password. Package authn/password has the
// implementation over a user store; an application may bring its own (LDAP).
//
// A wrong password, an unknown name and a disabled account give the same *Error
// with status 401 and, as far as possible, take the same time. Too many attempts
// give an *Error with status 429. Any other error means that it could not tell.
type PasswordChecker interface {
	CheckPassword(r *http.Request, name, password string) (Login, error)
}

// LoginLimiter is asked before a password is hashed; package authn/throttle has the
// implementation. account names the account for counting: its name space, a NUL, and the
// canonical name, the same for every spelling of it and for names that do not exist. Reserve
// counts the attempt and returns an *Error with status 429 if a limit is reached.
type LoginLimiter interface {
	Reserve(r *http.Request, account string) (LoginAttempt, error)
}

// LoginAttempt is one counted attempt. Its holder calls one of the methods at
// most once; an attempt that fails stays counted and needs no call.
type LoginAttempt interface {
	// Succeeded gives the attempt's own unit back, and nothing more, and returns
	// cookies for the answer of a login endpoint.
	Succeeded(ctx context.Context) []*http.Cookie
	// Cancelled gives the unit back where no password was hashed (a full queue).
	Cancelled(ctx context.Context)
	// Source names where the attempt comes from: an IPv4 address or an IPv6 /64.
	Source() string
}

// AccountAttempt is a LoginAttempt of a limiter that treats callers who logged the account in
// before in a different way than strangers. Its holder calls Account once the account was
// looked up, before it hashes.
type AccountAttempt interface {
	LoginAttempt
	// Account reports which account the attempt is for: its immutable ID and its epoch, or ""
	// and 0 if there is none. It returns an *Error with status 429 if the caller was known at
	// an earlier epoch only, and the limits of strangers refuse it; the attempt has then
	// ended.
	Account(ctx context.Context, subject string, epoch int64) error
	// Known reports whether the attempt was counted as one of a known caller.
	Known() bool
	// Network names the network of the attempt, for fair queues: an IPv4 /24 or an IPv6 /48.
	Network() string
}

// Voucher is a LoginLimiter that can make a caller known without a password, after another
// proof that the caller controls the account. It returns cookies for the answer. account is that
// of Reserve, subject and epoch are those of AccountAttempt.
type Voucher interface {
	Vouch(r *http.Request, account, subject string, epoch int64) []*http.Cookie
}

// Recaller is a LoginLimiter that recognizes callers who logged an account in before when they
// request something else for it, such as a password link. Package recovery uses it for requests
// that the limits of strangers refuse.
type Recaller interface {
	// Recall counts a request of a caller that may be known at some account: it returns an *Error
	// with status 429 if it is at none, or over its limits. It looks no account up, so that the
	// answer does not depend on the account that was requested. known reports whether the
	// caller is known at an account, once that was looked up; its arguments are those of Reserve
	// and AccountAttempt. It can be called after the request has ended.
	Recall(r *http.Request) (known func(ctx context.Context, account, subject string, epoch int64) bool, err error)
}

// RefusalLimiter limits requests with refused credentials (Options.Refusals). It is safe for
// concurrent use, and is called on the path of every request: it must be cheap.
type RefusalLimiter interface {
	// Admit is called before the chain is. It returns an *Error with status 429 if the
	// credentials that the request presents are not to be checked now, or nil.
	Admit(r *http.Request, p *Presented) error
	// Refused is called with the error of a refused request. It counts a refused credential, a
	// 401, and returns err, or the *Error with status 429 that is answered in its place.
	Refused(r *http.Request, err error) error
	// Accepted is called with each request whose credential was accepted. id has Subject,
	// Client, Issuer and Scheme only.
	Accepted(r *http.Request, p *Presented, id Identity)
}
