package totp

import (
	"context"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// period is the length of a time step in seconds, and digits the length of a code (RFC 6238,
// sections 4.1 and 5.3). A code is accepted one step early or late, because clocks differ.
const (
	period = 30
	digits = 6
	window = 15 * time.Minute
)

// The methods of a login with both factors (RFC 8176).
const (
	methodPassword = "pwd"
	methodCode     = "otp"
)

func hasOTP(amr []string) bool { return slices.Contains(amr, methodCode) }

// errWrong means that a code matches nothing.
var errWrong = errors.New("wrong code")

// limited counts an attempt of the account since its epoch, and calls f. If f does not report a wrong or used code,
// the attempt is no longer counted. Above the limit, limited returns an *authn.Error with status
// 429.
func (t *TOTP) limited(ctx context.Context, subject string, epoch int64, f func() error) error {
	_, key := t.ring.Newest(keys.FactorCodes)
	name, now := mac(key, "attempts", subject, strconv.FormatInt(epoch, 10)), t.now()
	n, ends, err := t.store.CountAttempt(ctx, name, now, now.Add(window))
	switch {
	case err != nil:
		return err
	case n > t.opts.Attempts:
		return authn.Throttled(ends.Sub(now))
	}
	err = f()
	if errors.Is(err, errWrong) || errors.Is(err, storage.ErrConflict) {
		return err
	}
	return errors.Join(err, t.store.ForgiveAttempt(context.WithoutCancel(ctx), name))
}

// match returns the time step whose code is text. It tries the current step, the step before and
// the step after. A step that was already used does not match.
func (t *TOTP) match(f storage.Factor, text string) (step int64, ok bool, err error) {
	secret, err := t.open(f)
	if err != nil {
		return 0, false, err
	}
	text = strings.ReplaceAll(text, " ", "")
	if len(text) != digits {
		return 0, false, nil
	}
	key := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	current := t.now().Unix() / period
	for at := current - 1; at <= current+1; at++ {
		code, err := hotp.GenerateCodeCustom(key, uint64(max(at, 0)), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, false, fmt.Errorf("totp: compute a code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(code), []byte(text)) == 1 && at > f.Step {
			step, ok = at, true
		}
	}
	return step, ok, nil
}

// recoveryKey returns the key for new recovery codes.
func (t *TOTP) recoveryKey() (string, keys.Key) { return t.ring.Newest(keys.FactorCodes) }

// verify checks a code from the app or a recovery code, and records that it was used. The caller
// counts the attempt and runs verify in a transaction. verify returns errWrong for a wrong code,
// and storage.ErrConflict or storage.ErrNotFound for a code that was used before.
func (t *TOTP) verify(ctx context.Context, subject string, epoch int64, code string) error {
	f, err := t.app(ctx, subject)
	switch {
	case err != nil:
		return err
	case !f.Confirmed: // disabled in the meantime
		return errWrong
	}
	step, ok, err := t.match(f, code)
	if err != nil {
		return err
	}
	if ok {
		return t.store.UseFactor(ctx, storage.FactorUse{Subject: subject, ID: f.ID, Epoch: epoch, Step: step, Now: t.now()})
	}
	text := strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code))
	if len(text) != 16 {
		return errWrong
	}
	list, err := t.store.FactorsOf(ctx, subject, kindRecovery)
	if err != nil {
		return err
	}
	found := ""
	for _, r := range list {
		if key, ok := t.ring.ByID(keys.FactorCodes, r.KeyID); ok && subtle.ConstantTimeCompare([]byte(recoveryID(key, subject, text)), []byte(r.ID)) == 1 {
			found = r.ID
		}
	}
	if found == "" {
		return errWrong
	}
	return t.store.DeleteFactor(ctx, subject, found)
}
