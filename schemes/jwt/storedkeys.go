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

// KeyOptions change StoredKeys; nil is fine.
type KeyOptions struct {
	// Algorithm of new keys. "": EdDSA (Ed25519) for the first key, then that of the newest.
	// Some JWT libraries and gateways of other languages cannot verify EdDSA; use jose.ES256
	// or jose.RS256 if programs that are not yours verify the tokens.
	Algorithm jose.Algorithm
	// Publish is how long a new key is known before it signs: 10 minutes where 0, more
	// than any verifier keeps the published set. The first key signs at once.
	Publish time.Duration
	// Overlap is how long the old key verifies after the new one began to sign: 24
	// hours where 0, more than an access token lives; signed refresh tokens want the
	// time that they live.
	Overlap time.Duration
	// Rotating are the options of reading.
	Rotating *jose.ReloadingOptions
	// Logger is told, at Error, of each key that the master key does not open; nil is
	// slog.Default().
	Logger *slog.Logger
	// Clock is time.Now where nil.
	Clock func() time.Time
}

// StoredKeys are the signing keys of one issuer in a store, sealed under the master
// key: all processes sign with the same, and see a rotation without a
// restart. They are the Keys of a Scheme. They are safe for concurrent use.
//
// A key that the master key does not open (somebody rotated with another one) is left
// out, and logged at Error: the others sign and verify on, and a token under it is
// neither good nor bad (503). Expire ends it. Where none opens nothing works.
type StoredKeys struct {
	*jose.ReloadingKeySet
	store   storage.SigningKeys
	master  *keys.Ring
	purpose string
	opts    KeyOptions
}

var _ Keys = (*StoredKeys)(nil)

// purposePrefix and an issuer are what the issuer's keys are for.
const purposePrefix = "jwt "

// Issuers returns the issuers that have keys in the store, sorted.
func Issuers(ctx context.Context, store storage.SigningKeys) (list []string, err error) {
	purposes, err := store.SigningPurposes(ctx)
	for _, p := range purposes {
		if issuer, ok := strings.CutPrefix(p, purposePrefix); ok {
			list = append(list, issuer)
		}
	}
	return list, err
}

// NewStoredKeys returns the keys of an issuer. There may be none yet: see Ensure.
func NewStoredKeys(store storage.SigningKeys, master *keys.Ring, issuer string, opts *KeyOptions) (*StoredKeys, error) {
	if store == nil || master == nil || issuer == "" {
		return nil, errors.New("jwt: a store, a master key and an issuer are needed")
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
		return nil, errors.New("jwt: a duration below 0")
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
		logger.LogAttrs(ctx, slog.LevelError, "a signing key is left out", slog.Any("error", err))
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

// Opens reports, by a nil error, whether the master key opens that key of List.
func (k *StoredKeys) Opens(row storage.SigningKey) error {
	_, err := k.open(row)
	return err
}

// Ensure makes the first key where there is none, and fails where there are some and
// the master key opens none of them. Call it at start. Of several processes that start
// at once one makes the key, and all use it.
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
		return nil // somebody else made it
	}
	return err
}

// The refusals of Rotate, which change nothing.
var (
	// ErrNoKey: there is no live key that another could follow. Ensure makes one.
	ErrNoKey = errors.New("jwt: the issuer has no key")
	// ErrPending: the newest key does not sign yet: a rotation is under way. Wait, or
	// end that key with Expire.
	ErrPending = errors.New("jwt: the newest key does not sign yet")
	// ErrMasterKey: the newest key is sealed under another master key, so the servers
	// that hold that one could not open what is made with this one.
	ErrMasterKey = errors.New("jwt: the master key does not open the newest key")
)

// Rotate makes a new key, which signs from KeyOptions.Publish on; the others verify
// for KeyOptions.Overlap longer and expire then. It refuses with ErrNoKey, ErrPending,
// ErrMasterKey, or storage.ErrConflict: somebody else rotates just now.
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
			return row, fmt.Errorf("jwt: key %s is there; of key %s it could not be noted when it expires: %w", row.ID, old.ID, err)
		}
	}
	return row, nil
}

// add makes a key where newest is the newest, of the algorithm of like unless the options
// name one.
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

// Expire ends a key now, for one that leaked: its tokens are refused as soon as each
// process has read the keys again (ReloadingOptions.MaxAge). Rotate first where it is
// the one that signs. storage.ErrNotFound: there is no such key.
func (k *StoredKeys) Expire(ctx context.Context, id string) error {
	return k.store.ExpireSigningKey(ctx, k.purpose, id, k.opts.Clock().UTC())
}

// List returns the keys, the newest first, without opening them.
func (k *StoredKeys) List(ctx context.Context) ([]storage.SigningKey, error) {
	return k.store.ListSigningKeys(ctx, k.purpose)
}
