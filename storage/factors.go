package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Factor is a second factor of an account, such as an authenticator app, a passkey or a recovery
// code. A factor is kept when the account's credentials are revoked ("log out everywhere", new
// password), so that revocation does not turn the second factor off.
type Factor struct {
	// ID is unique in the store and not a secret.
	ID      string
	Subject string
	// Kind is the kind of factor, such as "totp". The package that stores the factor defines the
	// value.
	Kind string
	// Name is the user's name for the factor. It is only displayed, never compared.
	Name string
	// Secret is defined by the package that stores the factor, for example the encrypted key of an
	// authenticator app, or the public key of a passkey. It has at most MaxFactorBytes bytes.
	Secret []byte
	// KeyID is the ID of the master key that encrypts Secret or derives ID; "" means none.
	KeyID string
	// Step is a counter that never decreases, such as the last used time step of RFC 6238.
	Step int64
	// Confirmed is true after the user has proved that the factor works. A factor that is not
	// confirmed protects nothing.
	Confirmed bool
	Created   time.Time
	// Used is the time of the last use; zero means never.
	Used time.Time
}

// MaxFactorBytes is the maximum length of Factor.Secret, in bytes, and MaxFactors the maximum
// number of factors of an account.
const (
	MaxFactorBytes = 8 << 10
	MaxFactors     = 64
)

// Check returns ErrInvalid, with the reason, if f cannot be stored.
func (f *Factor) Check() error {
	var long error
	if len(f.Secret) > MaxFactorBytes {
		long = fmt.Errorf("%w: factor with a secret of %d bytes (at most %d)", ErrInvalid, len(f.Secret), MaxFactorBytes)
	}
	return errors.Join(long, CheckID("factor id", f.ID), CheckID("subject", f.Subject), CheckPurpose(f.Kind), checkText("name", f.Name), checkText("key id", f.KeyID))
}

// FactorUse is one use of a factor.
type FactorUse struct {
	Subject, ID string
	// Epoch is the subject's epoch, read before the user was authenticated.
	Epoch int64
	// Step must be greater than the step of the last use.
	Step int64
	// Confirm confirms a factor that is not confirmed yet. Without it, such a factor cannot be
	// used.
	Confirm bool
	Now     time.Time
}

// Factors stores second factors.
type Factors interface {
	// CreateFactor inserts f, which was never used. It returns ErrStale if the subject is absent or
	// disabled, or if the subject's epoch differs from the argument epoch. It returns ErrLimit if
	// the subject already has MaxFactors factors, ErrConflict if the ID exists, and ErrInvalid if
	// f.Check rejects f. After an error, nothing has changed.
	CreateFactor(ctx context.Context, f Factor, epoch int64) error
	// FactorsOf returns the subject's factors of that kind, confirmed or not, the oldest first. The
	// kind "" means all kinds. For an unknown subject it returns no factors and no error.
	FactorsOf(ctx context.Context, subject, kind string) ([]Factor, error)
	// UseFactor records a use in one change. It returns ErrStale if the subject is absent or
	// disabled, or if the subject's epoch differs from u.Epoch. It returns ErrNotFound if the
	// subject has no such factor. It returns ErrConflict if u.Step is not greater than the step of
	// the last use, or if the factor is not confirmed and u.Confirm is false. If several calls with
	// the same step run at the same time, only one of them succeeds.
	UseFactor(ctx context.Context, u FactorUse) error
	// DeleteFactor deletes the subject's factor with that ID. It returns ErrNotFound if the subject
	// has no such factor. So if several calls run at the same time, only one of them succeeds.
	DeleteFactor(ctx context.Context, subject, id string) error
	// DeleteFactors deletes the subject's factors of that kind, and returns their number.
	DeleteFactors(ctx context.Context, subject, kind string) (int, error)
}
