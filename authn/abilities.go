package authn

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Challenger is an [Authenticator] that has a challenge. Challenge returns the value of
// WWW-Authenticate for a request that was rejected with err, or "" for no challenge. Separate
// several challenges with commas (RFC 9110, section 11.6.1). If your scheme uses bearer tokens,
// build the value with [BearerChallenge].
//
// err is one of these:
//   - an error that wraps [ErrNoCredentials], if credentials are missing
//   - an [*Error], if this scheme rejected the credentials
//   - an [*Error] with status 403 and the code [CodeInsufficientScope], if this scheme accepted the
//     credentials but the identity lacks a scope
//   - an [*Error] with status 403 and the code [CodeInsufficientAuthentication], if this scheme
//     accepted the credentials but the user must log in again
//
// [New] also calls Challenge once, to check that all schemes name the same resource_metadata. The
// request of that call has only a method and a path.
type Challenger interface {
	Challenge(r *http.Request, err error) string
}

// Renewer is an [Authenticator] that adds headers to the response if it accepted the request, for
// example a renewed cookie or Vary. The middleware calls Renew before the handler.
//
// If Renew returns an [*Error], the request is rejected. Any other error is logged and the request
// continues, because the caller is already authenticated.
type Renewer interface {
	Renew(w http.ResponseWriter, r *http.Request, id Identity) error
}

// HeaderReader is an [Authenticator] that reads only certain headers. A [Chain] does not call it
// for a request that has none of them. Headers returns the names in canonical form. The names must
// not change.
//
// A scheme that reads "Cookie" and not "Authorization" is ambient, which means that an explicit
// Authorization header takes precedence over its cookies. A scheme that reads both headers declares
// both.
//
// A decorator is called for every request unless it implements HeaderReader itself. If neither a
// scheme nor the scheme that it decorates (Unwrap) declares its headers:
//   - Every response has "Vary: *", because a cache cannot know which headers it depends on.
//   - The scheme does not get the cookies of a request with an Authorization header that another
//     scheme recognizes (see [Chain]).
type HeaderReader interface {
	Headers() []string
}

// Ambient is an [Authenticator] whose credentials a browser or a proxy adds to the request, such as
// a cookie or a header of the proxy. The code that makes the request does not set them. If Ambient
// returns true and the scheme does not declare that it reads Authorization, the chain calls the
// scheme after the schemes that read Authorization. The reason is that explicit credentials take
// precedence.
//
// A scheme that declares "Cookie" (see [HeaderReader]) does not need this method. A scheme that
// reads the header of a proxy and does not declare its headers MUST implement Ambient.
type Ambient interface {
	Ambient() bool
}

// Namer is an [Authenticator] that has a name. It is the name that the scheme writes to
// Identity.Scheme. Logs, metrics and audit events use it.
type Namer interface {
	Name() string
}

// CredentialFormat is a format of credentials that a scheme accepts. Keyword is the keyword of the
// Authorization header.
//
// Format is free text, such as "vst_" or "hex40". Two schemes that accept the same format must use
// the same text. "" means every credential under the keyword. [AnyFormat] means every credential
// that no earlier scheme of the chain accepts.
//
// Prefix is the beginning of every credential of the format, or "" if there is none. With a prefix,
// the chain does not call the scheme for other credentials.
type CredentialFormat struct{ Keyword, Format, Prefix string }

// AnyFormat is the Format of a scheme that accepts every remaining credential of a keyword. In the
// chain it must come after the other schemes of that keyword, because otherwise these schemes would
// never receive a credential.
const AnyFormat = "*"

// JWTFormat returns the Format for JSON Web Tokens of an issuer for an audience. An empty audience
// means all tokens of the issuer. Issuers are compared in full: "https://id.example" and
// "https://id.example/a" are different issuers.
func JWTFormat(issuer, audience string) string {
	format := "jwt " + strconv.Quote(issuer) + " "
	if audience != "" {
		format += strconv.Quote(audience)
	}
	return format
}

// FormatDeclarer is an [Authenticator] that declares the formats of its credentials. [New] and
// [Check] use it to find two schemes of one chain that would accept each other's credentials.
type FormatDeclarer interface {
	Formats() []CredentialFormat
}

// ConflictFinder is an [Authenticator] that knows which other schemes would accept its credentials,
// if the texts of a [FormatDeclarer] cannot express that. Conflict returns an error if other, a
// member of the same chain, would accept credentials of this scheme. [New] and [Check] call it for
// each pair, in both directions.
type ConflictFinder interface {
	Conflict(other Authenticator) error
}

// AbilityOf returns the authenticator as a T, if it implements the interface T. Otherwise it
// searches the schemes that the authenticator decorates and the members of a [Chain], and returns
// the first scheme that implements T. A decorator has a method Unwrap() Authenticator. It returns
// false if there is none.
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

// Login is an account whose password was just verified.
type Login struct {
	// Subject and Name are the account's immutable identifier and its name.
	Subject, Name string
	Roles         []string
	User          User
	// Epoch is the subject's epoch (the account's version), read before the password was verified.
	// Store it in each credential that you issue for this login.
	Epoch int64
	// ACR is the authentication context class that the login reached, such as "urn:example:mfa", and
	// AMR lists its methods, with names of RFC 8176 such as "pwd" and "otp". Schemes store both with
	// the credentials that they issue, and [Identity] has them. "" and nil mean unknown. A checker
	// MUST set only what this login proved.
	ACR string
	AMR []string
	// AuthTime is the time of the login; zero means now. Set it if the user did not log in now, such
	// as if you accept the login of an OpenID provider or the session of another program. Use
	// [UnknownAuthTime] if the time is unknown, because "now" would pass authz.Fresh. A time in the
	// future counts as now.
	AuthTime time.Time
	// Cookies are cookies that a login endpoint must set on its response, such as a device cookie.
	Cookies []*http.Cookie

	store any                    // see SetStore
	mark  *mark[PasswordChecker] // see Kept
}

// UnknownAuthTime is the AuthTime of a login at an unknown time. It is so long ago that no route with
// authz.Fresh accepts it.
var UnknownAuthTime = time.Unix(1, 0).UTC()

// At returns the time of the login if the current time is now, in whole microseconds.
func (l *Login) At(now time.Time) time.Time {
	if l.AuthTime.IsZero() || l.AuthTime.After(now) {
		return now
	}
	return l.AuthTime.UTC().Truncate(time.Microsecond)
}

// SetStore records the store that has the account; see [Identity.SetStore]. A checker that reads
// accounts from a store calls it.
func (l *Login) SetStore(store any) { l.store = store }

// Store returns the store that has the account, or nil if the checker did not record it.
func (l *Login) Store() any { return l.store }

// PasswordChecker checks a name and a password. Package authn/password implements it for a user
// store. Implement it yourself for another source of passwords, such as LDAP.
//
// A wrong password, an unknown name and a disabled account MUST return the same [*Error] with
// status 401, and take about the same time. Otherwise an attacker can find out which accounts
// exist. Too many attempts return an [*Error] with status 429. Any other error means that the
// password could not be checked.
type PasswordChecker interface {
	CheckPassword(r *http.Request, name, password string) (Login, error)
}

// LoginLimiter limits login attempts. It is called before a password is hashed. Package
// authn/throttle implements it.
//
// account is the key for counting: the account's name space, a NUL, and the canonical name. It is
// the same for every spelling of a name, and also set for names that do not exist. Reserve counts
// the attempt. It returns an [*Error] with status 429 if a limit is reached.
type LoginLimiter interface {
	Reserve(r *http.Request, account string) (LoginAttempt, error)
}

// LoginAttempt is one counted attempt. Call one of Succeeded and Cancelled, at most once. A failed
// attempt stays counted and needs no call.
type LoginAttempt interface {
	// Succeeded removes this attempt from the count. Earlier failed attempts stay counted. It
	// returns cookies for the response of a login endpoint.
	Succeeded(ctx context.Context) []*http.Cookie
	// Cancelled removes this attempt from the count. Call it if no password was hashed, for example
	// because the queue is full.
	Cancelled(ctx context.Context)
	// Source returns the client address of the attempt: an IPv4 address or an IPv6 /64.
	Source() string
}

// AccountAttempt is a LoginAttempt of a limiter that has separate limits for callers that have
// logged in to the account before (known callers). Call Account after you loaded the account and
// before you hash the password.
type AccountAttempt interface {
	LoginAttempt
	// Account passes the account of the attempt to the limiter: its immutable ID and its epoch, or
	// "" and 0 if the account does not exist. If the caller was known only at an earlier epoch, the
	// limits for unknown callers apply. If they reject the attempt, Account returns an [*Error]
	// with status 429. The attempt has then ended.
	Account(ctx context.Context, subject string, epoch int64) error
	// Known reports whether the attempt was counted as an attempt of a known caller.
	Known() bool
	// Network returns the network of the attempt: an IPv4 /24 or an IPv6 /48. Queues share their
	// places fairly among networks.
	Network() string
}

// Voucher is a [LoginLimiter] that can make a caller known (see [AccountAttempt]) without a
// password. Use it after another proof that the caller controls the account. Vouch returns cookies
// for the response. account has the form that Reserve requires; subject and epoch have the form
// that AccountAttempt.Account requires.
type Voucher interface {
	Vouch(r *http.Request, account, subject string, epoch int64) []*http.Cookie
}

// Recaller is a [LoginLimiter] that recognizes known callers when they request something other than
// a login, such as a password reset link. Package recovery uses it for requests that the limits for
// unknown callers reject.
type Recaller interface {
	// Recall counts a request of a caller that may be known. It returns an [*Error] with status 429
	// if the caller is not known at any account or exceeds its limits. It does not load an account,
	// so the response does not depend on the requested account.
	//
	// Call the function known after you loaded an account. It reports whether the caller is known
	// at that account. account has the form that Reserve requires; subject and epoch have the form
	// that AccountAttempt.Account requires. The function known can be called after the request has
	// ended.
	Recall(r *http.Request) (known func(ctx context.Context, account, subject string, epoch int64) bool, err error)
}

// RefusalLimiter limits requests with rejected credentials (Options.Refusals). It is called for
// every request, so it must be fast. It must be safe for concurrent use.
type RefusalLimiter interface {
	// Admit is called before the chain. It returns nil, or an [*Error] with status 429 if the
	// credentials of the request must not be checked now.
	Admit(r *http.Request, p *Presented) error
	// Refused is called with the error of a rejected request. It counts rejected credentials
	// (status 401). It returns err, or an [*Error] with status 429 that is sent instead.
	Refused(r *http.Request, err error) error
	// Accepted is called for each request whose credentials were accepted. Only Subject, Client,
	// Issuer and Scheme of id are set.
	Accepted(r *http.Request, p *Presented, id Identity)
}
