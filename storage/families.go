package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Family is a token family: one login or grant with all its tokens. Each refresh token is exchanged
// (claimed) for the next one, so only the last one is unclaimed. Its access tokens carry the
// family's ID as "sid".
type Family struct {
	// ID is random and not a secret.
	ID string
	// Purpose separates the families of different schemes and issuers.
	Purpose string
	Subject string
	// Client is the OAuth 2.0 client; "" if there is none.
	Client string
	// ClientRevoked is the value that Client.Revoked had when the client was authenticated.
	// CreateFamily compares it; stores do not keep it.
	ClientRevoked time.Time
	// Scopes, Resource and Confirm (the thumbprint of a DPoP key) limit the family. Nil scopes mean
	// no limit.
	Scopes   []string
	Resource []string
	Confirm  string
	// Name is the user's name for the device. It is displayed, never compared.
	Name string
	// Epoch is the subject's epoch, read before the login was verified.
	Epoch int64
	// AuthTime is when the user logged in.
	AuthTime time.Time
	// ACR is the authentication context class of that login, and AMR lists its methods (RFC 8176); see
	// authn.Identity. "" and nil mean unknown.
	ACR     string
	AMR     []string
	Created time.Time
	// Expires is the absolute expiry. No refresh extends it.
	Expires time.Time
	// Data belongs to the scheme: at most MaxDataBytes bytes.
	Data []byte
	// Ended is true after EndFamily.
	Ended bool
}

// MaxDataBytes is the maximum length of Family.Data, in bytes.
const MaxDataBytes = 16 << 10

// Check returns ErrInvalid, with the reason, if f cannot be stored.
func (f *Family) Check() error {
	if len(f.Data) > MaxDataBytes {
		return fmt.Errorf("%w: data of %d bytes (at most %d)", ErrInvalid, len(f.Data), MaxDataBytes)
	}
	return errors.Join(CheckID("family id", f.ID), CheckID("purpose", f.Purpose), CheckID("subject", f.Subject),
		checkText("client", f.Client), checkText("confirmation", f.Confirm), checkText("name", f.Name),
		checkScopes(f.Scopes), checkScopes(f.Resource), checkMethods(f.ACR, f.AMR))
}

// checkScopes returns ErrInvalid unless a space-separated list can hold the scopes (RFC 6749,
// section 3.3).
func checkScopes(list []string) error {
	n := 0
	for _, s := range list {
		if n += len(s) + 1; s == "" || n > MaxScopesBytes || !plainWord(s) {
			return fmt.Errorf("%w: scope is empty, too long, or not printable ASCII without spaces, quotes and backslashes", ErrInvalid)
		}
	}
	return nil
}

// checkMethods returns ErrInvalid unless the class and the methods of a login can be stored and be
// part of a space-separated list.
func checkMethods(acr string, amr []string) error {
	if len(acr) > MaxIDBytes || !plainWord(acr) || len(amr) > MaxMethods {
		return fmt.Errorf("%w: the acr is too long or not printable ASCII without spaces, quotes and backslashes, or the amr has more than %d methods", ErrInvalid, MaxMethods)
	}
	for _, m := range amr {
		if m == "" || len(m) > maxMethodBytes || !plainWord(m) {
			return fmt.Errorf("%w: method of a login is empty, too long, or not printable ASCII without spaces, quotes and backslashes", ErrInvalid)
		}
	}
	return nil
}

// plainWord reports whether s has only characters of a scope (RFC 6749, section 3.3).
func plainWord(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' })
}

// MaxMethods is the maximum number of methods of a login. Each has at most 64 bytes.
const MaxMethods = 16

const maxMethodBytes = 64

// MaxScopesBytes is the maximum total length of the scopes of a record, in bytes.
const MaxScopesBytes = 8 << 10

// checkText is CheckID for a text that may be empty.
func checkText(what, s string) error {
	if s == "" {
		return nil
	}
	return CheckID(what, s)
}

// Refresh is a refresh token of a family. A claimed token is kept until the family's absolute
// expiry, so that reuse is detected.
type Refresh struct {
	Digest  Digest
	Family  string
	Created time.Time
	// Expires is when the token expires if it is not claimed.
	Expires time.Time
	// Claimed is when the token was exchanged, by the store's clock; zero means not yet.
	Claimed time.Time
	// Sealed is the encrypted response of the exchange. It can be decrypted only with the token's
	// text. It is kept during the grace period, while the request can be repeated.
	Sealed []byte
	// SealedUntil is the end of the grace period.
	SealedUntil time.Time
	// GraceClosed means that tokens of the response were used; see CloseGraceWindow.
	GraceClosed bool
}

// RefreshState is a refresh token with everything that determines its validity, at one moment.
type RefreshState struct {
	Refresh Refresh
	Family  Family
	// User is the family's subject with its current epoch.
	User User
	// SuccessorClaimed means that the successor of this token was also exchanged.
	SuccessorClaimed bool
	// Now is the time of the store's clock.
	Now time.Time
}

// RefreshClaim exchanges a refresh token for the next one.
type RefreshClaim struct {
	Digest Digest
	// Next is the successor. Its Digest, Created and Expires are used.
	Next Refresh
	// Sealed is stored with the claimed token for the grace period Window, which begins at the
	// exchange, by the store's clock. If Window is 0, it is not stored.
	Sealed []byte
	Window time.Duration
}

// ExchangeBurst and ExchangeEvery limit the exchanges per family, because each exchange leaves a
// record until the family's absolute expiry.
const (
	// ExchangeBurst is the number of exchanges that a new family can make immediately.
	ExchangeBurst = 300
	// ExchangeEvery is the time after which a family gains one more exchange.
	ExchangeEvery = 30 * time.Second
)

// MaxExchanges returns the maximum number of exchanges of a family with that age. Stores call it in
// ClaimRefresh. A client that refreshes every 5 minutes uses a tenth of this number.
func MaxExchanges(age time.Duration) int64 {
	return ExchangeBurst + int64(max(age, 0)/ExchangeEvery)
}

// Families stores token families.
type Families interface {
	// CreateFamily inserts a family and its first refresh token. Errors change nothing:
	//
	//   - ErrStale: the subject is absent or disabled, or its epoch is not f.Epoch. For a family
	//     with a client, it is also returned if the client is absent or disabled, or if its Revoked
	//     is not f.ClientRevoked.
	//   - ErrConflict: the ID or the digest exists already.
	//   - ErrInvalid: f.Check rejects f.
	CreateFamily(ctx context.Context, f Family, first Refresh) error
	// RefreshByDigest returns a refresh token in one round trip, even if it was claimed or revoked
	// or has expired. It returns ErrNotFound if the token, its family or its account is absent.
	RefreshByDigest(ctx context.Context, d Digest) (RefreshState, error)
	// ClaimRefresh exchanges a refresh token, in one change: it marks the token as claimed now,
	// stores Sealed, erases the sealed response of its predecessor, and inserts the successor. The
	// caller checks whether the token has expired. Errors change nothing:
	//
	//   - ErrNotFound: there is no such token.
	//   - ErrStale: the family was revoked, the subject is absent or disabled, or the epochs of the
	//     family and the subject differ.
	//   - ErrConflict: the token was already claimed, or the successor's digest
	//     exists already.
	//   - ErrLimit: the family has already had the maximum number of exchanges (MaxExchanges) for
	//     its age.
	ClaimRefresh(ctx context.Context, c RefreshClaim) error
	// CloseGraceWindow records that tokens of the family's last exchange were used. It sets
	// GraceClosed on the claimed token whose response is still stored, if Claimed <= before. A
	// family without such a token, or an absent family, is not an error.
	CloseGraceWindow(ctx context.Context, family string, before time.Time) error
	// EndFamily revokes a family, erases its sealed responses, and blocks its ID (the kind BlockSID
	// of Blocklist) until blockUntil, in one change. It can be called again; the ID is then blocked
	// until the later of the two times. It returns ErrNotFound if there is no such family.
	EndFamily(ctx context.Context, id string, blockUntil time.Time) error
	// ListFamilies returns up to limit families of the subject that are not revoked and have its
	// current epoch, including expired ones: the last created first, then by ID. The list begins
	// after the given place; the zero place means the beginning. The family at that place may have
	// been deleted in the meantime.
	ListFamilies(ctx context.Context, purpose, subject string, after FamilyPlace, limit int) ([]Family, error)
	// ListFamiliesOf is ListFamilies for the families of one client ("" means families without a
	// client). It leaves out the first skip families of the list. So you can find the families
	// beyond a limit without reading the first ones.
	ListFamiliesOf(ctx context.Context, purpose, subject, client string, skip, limit int) ([]Family, error)
	// FamilyByID returns the family with that ID, if ListFamilies would list it. It returns
	// ErrNotFound if there is none, for example because it was revoked or belongs to another
	// subject or purpose.
	FamilyByID(ctx context.Context, purpose, subject, id string) (Family, error)
	// CountFamilies counts the families that ListFamilies returns without a limit.
	CountFamilies(ctx context.Context, purpose, subject string) (FamilyCount, error)
}

// FamilyPlace is a place in a list of families. The family that was created last comes first; of
// families with the same time, the lower ID comes first.
type FamilyPlace struct {
	Created time.Time
	ID      string
}

// Place returns the place of f.
func (f *Family) Place() FamilyPlace { return FamilyPlace{f.Created, f.ID} }

// IsZero reports whether p is the place before all families.
func (p FamilyPlace) IsZero() bool { return p.Created.IsZero() && p.ID == "" }

// Before reports whether p comes before q in a list.
func (p FamilyPlace) Before(q FamilyPlace) bool {
	if p.IsZero() || q.IsZero() {
		return p.IsZero() && !q.IsZero()
	}
	c := p.Created.Compare(q.Created)
	return c > 0 || c == 0 && p.ID < q.ID
}

// FamilyCount counts a subject's families, and names the client that has the most of them.
type FamilyCount struct {
	// Total is the number of all families.
	Total int
	// Client is the client with the most families. Of several such clients, it is the client with
	// the oldest family. Families without a client count as families of the client "". If Total is
	// 0, Client is "", too.
	Client string
	// Most is the number of that client's families.
	Most int
}
