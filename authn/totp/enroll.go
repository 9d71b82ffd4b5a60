package totp

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"image/png"
	"io"
	"log/slog"
	"strings"

	"github.com/pquerna/otp"
	otptotp "github.com/pquerna/otp/totp"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/storage"
)

// keyBytes is the length of an app's key: 160 bits, as RFC 4226, section 4, recommends.
const keyBytes = 20

// ErrEnrolled means that the account already has a second factor. Call [TOTP.Disable] first.
var ErrEnrolled = errors.New("the account already has a second factor")

// Enrollment is the key for an authenticator app. Show the key to the user once; it cannot be
// retrieved again. Printing an Enrollment does not show the key.
type Enrollment struct {
	key *otp.Key
}

// Key returns the key in base32, for users who type it.
func (e Enrollment) Key() string { return e.key.Secret() }

// URL returns the otpauth URL, which authenticator apps open. It contains the key.
func (e Enrollment) URL() string { return e.key.URL() }

// QR returns the URL as a QR code in a square PNG image. The argument size is the width and the
// height in pixels, at least 100.
func (e Enrollment) QR(size int) ([]byte, error) {
	img, err := e.key.Image(size, size)
	if err != nil {
		return nil, fmt.Errorf("totp: QR: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("totp: QR: %w", err)
	}
	return b.Bytes(), nil
}

// String returns "[redacted]".
func (Enrollment) String() string { return "[redacted]" }

// GoString returns "[redacted]".
func (Enrollment) GoString() string { return "[redacted]" }

// LogValue returns "[redacted]".
func (Enrollment) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalJSON returns "[redacted]" as a JSON string.
func (Enrollment) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Enroll creates a key for the authenticator app of the account. The key protects nothing until
// [TOTP.Confirm] receives a first code. Enroll replaces an earlier key that was not confirmed. The
// argument name is the text that the app shows for the account, usually the account name. id is the
// identity of the request. epoch is the epoch of the session, which session.Scheme.FromIdentity
// returns.
//
// Enroll returns [ErrEnrolled] if the account has a second factor, and [storage.ErrStale] if the
// account changed after epoch was read. It returns an [*authn.Error] with status 401 for an
// anonymous request. The status is 403 if the login is older than Options.Fresh, or if the identity
// comes from another issuer, belongs to a client, or is limited by scopes. Other errors come from
// the store.
func (t *TOTP) Enroll(ctx context.Context, id authn.Identity, epoch int64, name string) (Enrollment, error) {
	if err := t.fresh(id); err != nil {
		return Enrollment{}, err
	}
	secret := make([]byte, keyBytes)
	if _, err := io.ReadFull(t.opts.Rand, secret); err != nil {
		return Enrollment{}, fmt.Errorf("totp: Enroll: read random bytes: %w", err)
	}
	key, err := otptotp.Generate(otptotp.GenerateOpts{Issuer: t.issuer, AccountName: name, Secret: secret, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1, Period: period})
	if err != nil {
		return Enrollment{}, fmt.Errorf("totp: Enroll: %w", err)
	}
	f := storage.Factor{Subject: id.Subject, Kind: kindApp, Created: t.now()}
	if f.ID, err = rotation.NewID(t.opts.Rand); err != nil {
		return Enrollment{}, err
	}
	if err := t.seal(&f, secret); err != nil {
		return Enrollment{}, err
	}
	err = t.store.InTx(ctx, func(ctx context.Context) error {
		// First, because it locks the account: no factor is confirmed after the list was read.
		if err := t.store.CreateFactor(ctx, f, epoch); err != nil {
			return err
		}
		list, err := t.store.FactorsOf(ctx, id.Subject, kindApp)
		if err != nil {
			return err
		}
		for _, old := range list {
			if old.Confirmed {
				return ErrEnrolled
			}
			if old.ID == f.ID {
				continue
			}
			if err := t.store.DeleteFactor(ctx, id.Subject, old.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Enrollment{}, err
	}
	return Enrollment{key}, nil
}

// recoveryCodes is the number of recovery codes of an account.
const recoveryCodes = 10

// Confirm turns the second factor on, if code is a current code for the key that [TOTP.Enroll]
// returned. Confirm returns the recovery codes. Each of them can be used once instead of a code
// from the app. Show them to the user; they cannot be retrieved again. id and epoch are as for
// Enroll.
//
// Confirm returns an [*authn.Error] with status 400 if the code is wrong or the account did not
// enroll, and with status 429 after too many wrong codes. The other errors are those of Enroll.
func (t *TOTP) Confirm(ctx context.Context, id authn.Identity, epoch int64, code string) (recovery []string, err error) {
	if err := t.fresh(id); err != nil {
		return nil, err
	}
	f, err := t.app(ctx, id.Subject)
	switch {
	case err != nil:
		return nil, err
	case f.Confirmed:
		return nil, ErrEnrolled
	case f.ID == "":
		return nil, errCode()
	}
	err = t.limited(ctx, id.Subject, epoch, func() error {
		step, ok, err := t.match(f, code)
		if err != nil || !ok {
			return errors.Join(err, notOK(ok, errWrong))
		}
		return t.store.InTx(ctx, func(ctx context.Context) error {
			use := storage.FactorUse{Subject: id.Subject, ID: f.ID, Epoch: epoch, Step: step, Confirm: true, Now: t.now()}
			if err := t.store.UseFactor(ctx, use); err != nil {
				return err
			}
			recovery, err = t.newRecovery(ctx, id.Subject, epoch)
			return err
		})
	})
	if errors.Is(err, errWrong) || errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrNotFound) {
		return nil, errCode().WithCause(err)
	}
	if err != nil {
		return nil, err
	}
	return recovery, nil
}

func notOK(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}

func errCode() *authn.Error {
	return authn.FieldError("code", "This code is wrong or was already used. Wait for the next code.")
}

// Recovery replaces the recovery codes of the account with new ones. The identity must have a login
// that used the second factor, as for [TOTP.Disable]: otherwise a stolen password would be enough to
// get codes. epoch and the other errors are as for Enroll, except that an account without a second
// factor gets an [*authn.Error] with status 400.
func (t *TOTP) Recovery(ctx context.Context, id authn.Identity, epoch int64) (codes []string, err error) {
	if err := t.fresh(id); err != nil {
		return nil, err
	}
	switch on, err := t.Enabled(ctx, id.Subject); {
	case err != nil:
		return nil, err
	case !on:
		return nil, authn.BadRequest("The account has no second factor.")
	case !hasOTP(id.AMR): // the codes are a second factor
		return nil, authn.InsufficientAuthentication(authn.StepUp{MaxAge: t.opts.Fresh})
	}
	err = t.store.InTx(ctx, func(ctx context.Context) error {
		codes, err = t.newRecovery(ctx, id.Subject, epoch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// newRecovery replaces the recovery codes, in the caller's transaction.
func (t *TOTP) newRecovery(ctx context.Context, subject string, epoch int64) ([]string, error) {
	if _, err := t.store.DeleteFactors(ctx, subject, kindRecovery); err != nil {
		return nil, err
	}
	codes := make([]string, recoveryCodes)
	for i := range codes {
		var raw [10]byte // 80 bits, stored as a keyed hash; attempts are limited
		if _, err := io.ReadFull(t.opts.Rand, raw[:]); err != nil {
			return nil, fmt.Errorf("totp: read random bytes: %w", err)
		}
		text := strings.ToLower(base32.StdEncoding.EncodeToString(raw[:])) // 16 characters
		codes[i] = text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
		keyID, key := t.recoveryKey()
		f := storage.Factor{
			ID: recoveryID(key, subject, text), Subject: subject, Kind: kindRecovery, KeyID: keyID, Confirmed: true, Created: t.now(),
		}
		if err := t.store.CreateFactor(ctx, f, epoch); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

// Disable turns the second factor off and deletes its recovery codes. The login of id must be at
// most Options.Fresh old and must have used the second factor, so that a stolen password is not
// enough. The errors are those of [TOTP.Enroll], without ErrEnrolled. If the account has no second
// factor, Disable returns nil.
//
// For users who have lost both the app and the recovery codes, use [TOTP.Reset].
func (t *TOTP) Disable(ctx context.Context, id authn.Identity) error {
	if err := t.fresh(id); err != nil {
		return err
	}
	on, err := t.Enabled(ctx, id.Subject)
	if err != nil {
		return err
	}
	if on && !hasOTP(id.AMR) {
		return authn.InsufficientAuthentication(authn.StepUp{MaxAge: t.opts.Fresh})
	}
	return t.Reset(ctx, id.Subject)
}

// Reset deletes the second factor and the recovery codes of an account. Call it after an
// administrator has verified the user in another way. The error comes from the store.
func (t *TOTP) Reset(ctx context.Context, subject string) error {
	return t.store.InTx(ctx, func(ctx context.Context) error {
		for _, kind := range [...]string{kindApp, kindRecovery} {
			if _, err := t.store.DeleteFactors(ctx, subject, kind); err != nil {
				return err
			}
		}
		return nil
	})
}
