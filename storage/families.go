package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Family is what one login or grant began: the refresh tokens that follow each
// other, of which one is unclaimed, and the access tokens that carry its ID as
// "sid".
type Family struct {
	// ID is random and no secret.
	ID string
	// Purpose tells the families of one scheme or issuer from others'.
	Purpose string
	Subject string
	// Client is the OAuth2 client, where one acts; "" otherwise.
	Client string
	// ClientRevoked is Client.Revoked of that client as it was authenticated. CreateFamily compares it, and
	// stores do not keep it.
	ClientRevoked time.Time
	// Scopes, Resource and Confirm (the thumbprint of a DPoP key) bind the family.
	// Nil scopes do not limit it.
	Scopes   []string
	Resource []string
	Confirm  string
	// Name is what the user calls the device; shown, never compared.
	Name string
	// Epoch is the subject's epoch as read before the login was verified.
	Epoch int64
	// AuthTime is when the user logged in.
	AuthTime time.Time
	Created  time.Time
	// Expires is the absolute end: no refresh goes beyond.
	Expires time.Time
	// Data is the scheme's own, up to a few KiB.
	Data []byte
	// Ended is true after EndFamily.
	Ended bool
}

// MaxDataBytes is the longest Family.Data, in bytes.
const MaxDataBytes = 16 << 10

// Check returns ErrInvalid, with a word on why, unless f can be kept.
func (f *Family) Check() error {
	if len(f.Data) > MaxDataBytes {
		return fmt.Errorf("%w: data of %d bytes", ErrInvalid, len(f.Data))
	}
	return errors.Join(CheckID("family id", f.ID), CheckID("purpose", f.Purpose), CheckID("subject", f.Subject),
		checkText("client", f.Client), checkText("confirmation", f.Confirm), checkText("name", f.Name),
		checkScopes(f.Scopes), checkScopes(f.Resource))
}

// checkScopes wants what a list of words parted by blanks can hold (RFC 6749 §3.3).
func checkScopes(list []string) error {
	n := 0
	for _, s := range list {
		if n += len(s) + 1; s == "" || n > MaxScopesBytes || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }) {
			return fmt.Errorf("%w: a scope is empty, too long, or holds more than printable ASCII", ErrInvalid)
		}
	}
	return nil
}

// MaxScopesBytes is how long the scopes of a record may be together, in bytes.
const MaxScopesBytes = 8 << 10

// checkText wants a text that may be empty.
func checkText(what, s string) error {
	if s == "" {
		return nil
	}
	return CheckID(what, s)
}

// Refresh is one refresh token of a family. A claimed one stays until the family's
// absolute end, so that its reuse is noticed.
type Refresh struct {
	Digest  Digest
	Family  string
	Created time.Time
	// Expires is when it ends unclaimed.
	Expires time.Time
	// Claimed is when it was exchanged, by the store's clock; zero: not yet.
	Claimed time.Time
	// Sealed is the answer that its exchange gave, which only the token's text
	// opens. It is there while a repetition may have the answer again.
	Sealed []byte
	// SealedUntil is when that ends.
	SealedUntil time.Time
	// GraceClosed: what the answer gave was used. See CloseGraceWindow.
	GraceClosed bool
}

// RefreshState is a refresh token with all that decides about it, as of one moment.
type RefreshState struct {
	Refresh Refresh
	Family  Family
	// User is the family's subject, with its present epoch.
	User User
	// SuccessorClaimed: the token that took this one's place was exchanged too.
	SuccessorClaimed bool
	// Now is the store's clock.
	Now time.Time
}

// RefreshClaim exchanges one refresh token for the next.
type RefreshClaim struct {
	Digest Digest
	// Next is the successor: Digest, Created and Expires are used.
	Next Refresh
	// Sealed is kept with the claimed token for Window, counted by the store's clock
	// from now; 0 keeps nothing.
	Sealed []byte
	Window time.Duration
}

// ExchangeBurst and ExchangeEvery limit how often the tokens of one family are exchanged: each
// exchange leaves a record until the family's absolute end.
const (
	// ExchangeBurst is how many exchanges a family has from the beginning.
	ExchangeBurst = 300
	// ExchangeEvery is how long it takes to get one more.
	ExchangeEvery = 30 * time.Second
)

// MaxExchanges returns how many exchanges a family may have had, age after its creation. A client
// that refreshes every 5 minutes needs a tenth of them. Stores call it in ClaimRefresh.
func MaxExchanges(age time.Duration) int64 {
	return ExchangeBurst + int64(max(age, 0)/ExchangeEvery)
}

// Families keeps refresh families.
type Families interface {
	// CreateFamily inserts a family and its first refresh token. ErrStale where the
	// subject is absent, disabled, or its epoch is not f.Epoch, and where f.Client, if not "",
	// is absent, disabled, or its Revoked is not f.ClientRevoked; ErrConflict where the ID or the digest is taken; ErrInvalid
	// where a text cannot be kept. Nothing is changed then.
	CreateFamily(ctx context.Context, f Family, first Refresh) error
	// RefreshByDigest returns a refresh token, claimed, expired, ended or not, in one
	// round trip. ErrNotFound where it, its family or its account is absent.
	RefreshByDigest(ctx context.Context, d Digest) (RefreshState, error)
	// ClaimRefresh is the one exchange of a refresh token, as one change: it marks the
	// token as claimed now, keeps Sealed, erases what was sealed for its predecessor,
	// and inserts the successor. ErrConflict where somebody else claimed it, or the
	// successor's digest is taken; ErrStale where the family has ended, its epoch is
	// not the subject's, or the subject is absent or disabled; ErrLimit where the family has
	// had MaxExchanges, by its Created and that of the successor; ErrNotFound where there
	// is no such token. Nothing is changed then. Expiry is the caller's to judge.
	ClaimRefresh(ctx context.Context, c RefreshClaim) error
	// CloseGraceWindow notes that what the family's last exchange gave was used: the claimed
	// token whose answer is still sealed becomes Narrowed, where it was claimed at before or
	// earlier. A family without one, or that is gone, is no error.
	CloseGraceWindow(ctx context.Context, family string, before time.Time) error
	// EndFamily ends a family, erases what is sealed in it, and blocks its ID (a SID of
	// Blocklist) until the given time, as one change. Ending twice is no error, and
	// blocks until the later time. ErrNotFound where there is no such family.
	EndFamily(ctx context.Context, id string, blockUntil time.Time) error
	// ListFamilies returns up to limit families of the subject that have not ended
	// and have its present epoch, the last created first (then by ID), expired ones
	// included. It begins after a place in that order, which need not be that of a family that is
	// still there; the zero place is before all of them.
	ListFamilies(ctx context.Context, purpose, subject string, after FamilyPlace, limit int) ([]Family, error)
	// ListFamiliesOf is ListFamilies for the families of one client ("" for those without a
	// client). It leaves out the first skip of them, so that what is beyond a limit is found
	// without reading what is within it.
	ListFamiliesOf(ctx context.Context, purpose, subject, client string, skip, limit int) ([]Family, error)
	// FamilyByID returns the one of ListFamilies that has the ID; ErrNotFound if there is none, as
	// when it has ended or belongs to another subject or purpose.
	FamilyByID(ctx context.Context, purpose, subject, id string) (Family, error)
	// CountFamilies counts the families that ListFamilies returns without a limit.
	CountFamilies(ctx context.Context, purpose, subject string) (FamilyCount, error)
}

// FamilyPlace is a place in a list of families, which has the last created first, then the one
// with the lower ID.
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

// FamilyCount is how many families a subject has, and the client that has most of them.
type FamilyCount struct {
	// Total is the number of all of them.
	Total int
	// Client has the most families, of several the one with the oldest family; "" if Total is 0,
	// and for families without a client.
	Client string
	// Most is the number of that client's families.
	Most int
}
