package jwt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// KeyOptions configure [StoredKeys]. nil means the defaults.
type KeyOptions struct {
	// Algorithm is the algorithm of new keys. "" means EdDSA (Ed25519) for the first key, and then
	// the algorithm of the newest key. Some JWT libraries and gateways in other languages cannot
	// verify EdDSA. Use [jose.ES256] or [jose.RS256] if programs that are not yours verify the
	// tokens.
	Algorithm jose.Algorithm
	// Publish is the time between the publication of a new key and its first signature. 0 means 10
	// minutes. It must be longer than the time for which verifiers cache the published keys. The
	// first key signs immediately.
	Publish time.Duration
	// Overlap is the time for which the old key verifies after the new key began to sign. 0 means
	// 24 hours. It must be longer than the lifetime of access tokens and of signed refresh tokens.
	Overlap time.Duration
	// Rotating configures how the keys are read.
	Rotating *jose.ReloadingOptions
	// Logger receives an error for each key that the master key cannot decrypt. nil means
	// slog.Default().
	Logger *slog.Logger
	// Clock returns the current time. nil means time.Now.
	Clock func() time.Time
}

// StoredKeys are the signing keys of one issuer in a store, encrypted with the master key. All
// processes sign with the same key, and rotate it without a restart. Pass them to [New] as [Keys].
// They are safe for concurrent use.
//
// A key that the master key cannot decrypt, because it was created with another master key, is
// omitted and logged at Error. The other keys continue to sign and verify. A token that was signed
// with the omitted key can be neither accepted nor rejected (503). Use [StoredKeys.Expire] to
// remove the key. If no key can be decrypted, all tokens get 503.
type StoredKeys struct {
	*jose.ReloadingKeySet
	store   storage.SigningKeys
	master  *keys.Ring
	purpose string
	opts    KeyOptions
}

var _ Keys = (*StoredKeys)(nil)

// purposePrefix and the issuer form the purpose of the issuer's keys.
const purposePrefix = "jwt "

// Issuers returns the issuers with keys in the store, sorted.
func Issuers(ctx context.Context, store storage.SigningKeys) (list []string, err error) {
	purposes, err := store.SigningPurposes(ctx)
	for _, p := range purposes {
		if issuer, ok := strings.CutPrefix(p, purposePrefix); ok {
			list = append(list, issuer)
		}
	}
	return list, err
}

// NewStoredKeys returns the keys of an issuer. opts can be nil. The store may have no keys yet; see
// [StoredKeys.Ensure]. It returns an error if an argument is missing or an option is invalid.
func NewStoredKeys(store storage.SigningKeys, master *keys.Ring, issuer string, opts *KeyOptions) (*StoredKeys, error) {
	if store == nil || master == nil || issuer == "" {
		return nil, errors.New("jwt: NewStoredKeys: store, master and issuer must be set")
	}
	k := &StoredKeys{store: store, master: master, purpose: purposePrefix + issuer}
	if err := storage.CheckID("issuer", k.purpose); err != nil {
		return nil, err
	}
	if opts != nil {
		k.opts = *opts
	}
	o := &k.opts
	if o.Publish < 0 || o.Overlap < 0 {
		return nil, errors.New("jwt: NewStoredKeys: Publish or Overlap is negative (0 or more)")
	}
	o.Publish = cmp.Or(o.Publish, 10*time.Minute)
	o.Overlap = cmp.Or(o.Overlap, 24*time.Hour)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	reading := jose.ReloadingOptions{Clock: o.Clock}
	if o.Rotating != nil {
		reading = *o.Rotating
	}
	var err error
	k.ReloadingKeySet, err = jose.NewReloadingKeySet(k.load, &reading)
	return k, err
}

func (k *StoredKeys) load(ctx context.Context) ([]jose.TimedKey, error) {
	list, err := k.store.ListSigningKeys(ctx, k.purpose)
	if err != nil {
		return nil, err
	}
	var all []jose.TimedKey
	var lost []error
	live := k.live(list)
	for _, row := range live {
		timed := jose.TimedKey{SignsFrom: row.SignsFrom, Expires: row.Expires}
		if timed.Key, err = k.open(row); err != nil {
			timed.UndecryptableID = row.ID
			lost = append(lost, err)
		}
		all = append(all, timed)
	}
	if len(lost) == 0 {
		return all, nil
	}
	if len(lost) == len(live) {
		return nil, lost[0]
	}
	logger := k.opts.Logger
	if logger == nil {
		logger = slog.Default()
	}
	for _, err := range lost {
		logger.LogAttrs(ctx, slog.LevelError, "signing key omitted", slog.Any("error", err))
	}
	return all, nil
}

// live returns the keys that have not expired, the newest first.
func (k *StoredKeys) live(list []storage.SigningKey) (live []storage.SigningKey) {
	now := k.opts.Clock()
	for _, row := range list {
		if row.Expires.IsZero() || now.Before(row.Expires) {
			live = append(live, row)
		}
	}
	return live
}

func (k *StoredKeys) open(row storage.SigningKey) (*jose.Key, error) {
	return jose.OpenSealed(k.master, k.purpose, row.ID, jose.Algorithm(row.Algorithm), row.MasterID, row.Sealed)
}

// Opens returns nil if the master key can decrypt a key from [StoredKeys.List].
func (k *StoredKeys) Opens(row storage.SigningKey) error {
	_, err := k.open(row)
	return err
}

// Ensure creates the first key if there is none. It returns an error if there are keys and the
// master key can decrypt none of them. Call it at program start. If several processes start at the
// same time, one of them creates the key and all use it.
func (k *StoredKeys) Ensure(ctx context.Context) error {
	list, err := k.List(ctx)
	if err != nil {
		return err
	}
	if len(k.live(list)) > 0 {
		_, err := k.load(ctx)
		return err
	}
	newest := storage.SigningKey{Algorithm: string(jose.EdDSA)}
	if len(list) > 0 {
		newest = list[0]
	}
	_, err = k.add(ctx, newest, newest, k.opts.Clock())
	if errors.Is(err, storage.ErrConflict) {
		return nil // another process created it
	}
	return err
}

// The errors with which Rotate rejects a rotation. Nothing was changed.
var (
	// ErrNoKey means that there is no valid key to replace. [StoredKeys.Ensure] creates one.
	ErrNoKey = errors.New("jwt: Rotate: the issuer has no key")
	// ErrPending means that the newest key does not sign yet, because a rotation is in progress.
	// Wait, or remove that key with [StoredKeys.Expire].
	ErrPending = errors.New("jwt: Rotate: the newest key does not sign yet")
	// ErrMasterKey means that the newest key is encrypted with another master key. Servers with
	// that master key could not decrypt a key that this process creates.
	ErrMasterKey = errors.New("jwt: Rotate: the master key cannot decrypt the newest key")
)

// Rotate creates a new key, which signs after KeyOptions.Publish. The other keys verify for
// KeyOptions.Overlap longer and then expire. It returns [ErrNoKey], [ErrPending], [ErrMasterKey],
// or [storage.ErrConflict] if another process rotates at the same time.
//
// If the new key was created, but an error occurred while the expiry of an old key was stored,
// Rotate returns the new key and the error.
func (k *StoredKeys) Rotate(ctx context.Context) (storage.SigningKey, error) {
	var none storage.SigningKey
	list, err := k.List(ctx)
	if err != nil {
		return none, err
	}
	now, live := k.opts.Clock(), k.live(list)
	switch {
	case len(live) == 0:
		return none, ErrNoKey
	case k.Opens(live[0]) != nil:
		return none, fmt.Errorf("%w, %s", ErrMasterKey, live[0].ID)
	case len(live) > 1 && live[0].SignsFrom.After(now):
		return none, fmt.Errorf("%w: %s, from %s on", ErrPending, live[0].ID, live[0].SignsFrom.UTC().Format(time.RFC3339))
	}
	from := now.Add(k.opts.Publish)
	row, err := k.add(ctx, list[0], live[0], from)
	if err != nil {
		return none, err
	}
	for _, old := range live {
		if !old.Expires.IsZero() {
			continue
		}
		if err := k.store.ExpireSigningKey(ctx, k.purpose, old.ID, from.Add(k.opts.Overlap)); err != nil {
			return row, fmt.Errorf("jwt: Rotate: created key %s, but not stored the expiry of key %s: %w", row.ID, old.ID, err)
		}
	}
	return row, nil
}

// add creates a key if newest is still the newest key. It uses the algorithm of like unless the
// options set one.
func (k *StoredKeys) add(ctx context.Context, newest, like storage.SigningKey, from time.Time) (storage.SigningKey, error) {
	key, err := jose.Generate(cmp.Or(k.opts.Algorithm, jose.Algorithm(like.Algorithm)))
	if err != nil {
		return storage.SigningKey{}, err
	}
	row := storage.SigningKey{
		ID: key.ID(), Purpose: k.purpose, Algorithm: string(key.Algorithm()),
		Created: k.opts.Clock().UTC().Truncate(time.Microsecond), SignsFrom: from.UTC().Truncate(time.Microsecond),
	}
	if row.MasterID, row.Sealed, err = key.Seal(k.master, k.purpose); err != nil {
		return storage.SigningKey{}, err
	}
	return row, k.store.CreateSigningKey(ctx, row, newest.ID)
}

// Expire revokes a key immediately. Use it for a key that leaked. Its tokens are rejected when each
// process has read the keys again (ReloadingOptions.MaxAge). If this key is the signing key, call
// [StoredKeys.Rotate] first. Expire returns [storage.ErrNotFound] if there is no such key.
func (k *StoredKeys) Expire(ctx context.Context, id string) error {
	return k.store.ExpireSigningKey(ctx, k.purpose, id, k.opts.Clock().UTC())
}

// List returns the keys, the newest first, without decrypting them.
func (k *StoredKeys) List(ctx context.Context) ([]storage.SigningKey, error) {
	return k.store.ListSigningKeys(ctx, k.purpose)
}
