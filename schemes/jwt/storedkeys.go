package jwt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// KeyOptions change StoredKeys; nil is fine.
type KeyOptions struct {
	// Algorithm of the keys that are made; jose.EdDSA where "".
	Algorithm jose.Algorithm
	// Publish is how long a new key is known before it signs: 10 minutes where 0, more
	// than any verifier keeps the published set. The first key signs at once.
	Publish time.Duration
	// Overlap is how long the old key verifies after the new one began to sign: 24
	// hours where 0, more than an access token lives; signed refresh tokens want the
	// time that they live.
	Overlap time.Duration
	// Rotating are the options of reading.
	Rotating *jose.RotatingOptions
	// Clock is time.Now where nil.
	Clock func() time.Time
}

// StoredKeys are the signing keys of one issuer in a store, sealed under the master
// key (RULES K2): all processes sign with the same, and see a rotation without a
// restart. They are the Keys of a Scheme. They are safe for concurrent use.
type StoredKeys struct {
	*jose.Rotating
	store   storage.SigningKeys
	master  *keys.Ring
	purpose string
	opts    KeyOptions
}

var _ Keys = (*StoredKeys)(nil)

// NewStoredKeys returns the keys of an issuer. There may be none yet: see Ensure.
func NewStoredKeys(store storage.SigningKeys, master *keys.Ring, issuer string, opts *KeyOptions) (*StoredKeys, error) {
	if store == nil || master == nil || issuer == "" {
		return nil, errors.New("jwt: a store, a master key and an issuer are needed")
	}
	k := &StoredKeys{store: store, master: master, purpose: "jwt " + issuer}
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
	o.Algorithm = cmp.Or(o.Algorithm, jose.EdDSA)
	o.Publish = cmp.Or(o.Publish, 10*time.Minute)
	o.Overlap = cmp.Or(o.Overlap, 24*time.Hour)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	reading := jose.RotatingOptions{Clock: o.Clock}
	if o.Rotating != nil {
		reading = *o.Rotating
	}
	var err error
	k.Rotating, err = jose.NewRotating(k.load, &reading)
	return k, err
}

func (k *StoredKeys) load(ctx context.Context) ([]jose.TimedKey, error) {
	list, err := k.store.ListSigningKeys(ctx, k.purpose)
	if err != nil {
		return nil, err
	}
	now := k.opts.Clock()
	var all []jose.TimedKey
	for _, row := range list {
		if !row.Expires.IsZero() && !now.Before(row.Expires) {
			continue
		}
		key, err := jose.OpenSealed(k.master, k.purpose, row.ID, jose.Algorithm(row.Algorithm), row.MasterID, row.Sealed)
		if err != nil {
			return nil, err
		}
		all = append(all, jose.TimedKey{Key: key, SignsFrom: row.SignsFrom, Expires: row.Expires})
	}
	return all, nil
}

// Ensure makes the first key where there is none. Of several processes that start at
// once one makes it, and all use it.
func (k *StoredKeys) Ensure(ctx context.Context) error {
	list, err := k.List(ctx)
	if err != nil {
		return err
	}
	now := k.opts.Clock()
	for _, row := range list {
		if row.Expires.IsZero() || now.Before(row.Expires) {
			return nil
		}
	}
	newest := ""
	if len(list) > 0 {
		newest = list[0].ID
	}
	_, err = k.add(ctx, newest, now)
	if errors.Is(err, storage.ErrConflict) {
		return nil // somebody else made it
	}
	return err
}

// Rotate makes a new key, which signs from KeyOptions.Publish on; the others verify
// for KeyOptions.Overlap longer and expire then. storage.ErrConflict: somebody else
// rotates just now.
func (k *StoredKeys) Rotate(ctx context.Context) (storage.SigningKey, error) {
	list, err := k.List(ctx)
	if err != nil {
		return storage.SigningKey{}, err
	}
	now := k.opts.Clock()
	if len(list) == 0 {
		return k.add(ctx, "", now)
	}
	from := now.Add(k.opts.Publish)
	row, err := k.add(ctx, list[0].ID, from)
	if err != nil {
		return storage.SigningKey{}, err
	}
	for _, old := range list {
		if !old.Expires.IsZero() {
			continue
		}
		if err := k.store.ExpireSigningKey(ctx, k.purpose, old.ID, from.Add(k.opts.Overlap)); err != nil {
			return row, fmt.Errorf("jwt: key %s is there; of key %s it could not be noted when it expires: %w", row.ID, old.ID, err)
		}
	}
	return row, nil
}

func (k *StoredKeys) add(ctx context.Context, newest string, from time.Time) (storage.SigningKey, error) {
	key, err := jose.Generate(k.opts.Algorithm)
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
	return row, k.store.AddSigningKey(ctx, row, newest)
}

// Expire ends a key now, for one that leaked: its tokens are refused as soon as each
// process has read the keys again (RotatingOptions.MaxAge). Rotate first where it is
// the one that signs. storage.ErrNotFound: there is no such key.
func (k *StoredKeys) Expire(ctx context.Context, id string) error {
	return k.store.ExpireSigningKey(ctx, k.purpose, id, k.opts.Clock().UTC())
}

// List returns the keys, the newest first, without opening them.
func (k *StoredKeys) List(ctx context.Context) ([]storage.SigningKey, error) {
	return k.store.ListSigningKeys(ctx, k.purpose)
}
