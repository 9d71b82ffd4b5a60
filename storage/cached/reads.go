package cached

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"unique"

	"github.com/vestibule-auth/vestibule/internal/actors"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
)

// direct reports whether a lookup must go to the store. A lookup in a transaction must, because it
// reads what the transaction changed.
func (s *Store) direct(ctx context.Context, kind Kind) bool {
	return s.skip[kind] || s.bypass.Load() || s.base.InTransaction(ctx)
}

// bypassed is direct for a lookup, which it reports.
func (s *Store) bypassed(ctx context.Context, kind Kind) bool {
	if !s.direct(ctx, kind) {
		return false
	}
	s.looked(ctx, kind, observe.Bypass)
	return true
}

// with is a record, such as a credential, with its account.
type with[T any] struct {
	record T
	user   storage.User
}

// set stores a record and its account without the password hash, which no caller needs.
func (v *with[T]) set(record T, u storage.User) {
	u.Password = ""
	v.record, v.user = record, u
}

// StaticTokenByDigest implements storage.StaticTokens.
func (s *Store) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	if s.bypassed(ctx, StaticTokens) {
		return s.base.StaticTokenByDigest(ctx, d)
	}
	k := Key{Kind: StaticTokens, Digest: d}
	switch it, unknown := s.find(ctx, &k); {
	case it != nil:
		r := it.(*staticRecord)
		return r.token(&k.Digest), r.user(&r.head), nil
	case unknown:
		return storage.StaticToken{}, storage.User{}, storage.ErrNotFound
	}
	return s.loadStatic(ctx, k)
}

func (s *Store) loadStatic(ctx context.Context, k Key) (storage.StaticToken, storage.User, error) {
	v, err := load(ctx, s, k, lookup[with[storage.StaticToken]]{
		unknown: true,
		read: func(ctx context.Context) (v with[storage.StaticToken], err error) {
			t, u, err := s.base.StaticTokenByDigest(ctx, k.Digest)
			v.set(t, u)
			return v, err
		},
		keep: func(v *with[storage.StaticToken]) kept {
			t := &v.record
			out := kept{deps: names{s.stripeOfSubject(t.Subject)}}
			a, size, ok := s.newAccount(&v.user, nil, nil, nil, t.KeyID)
			if ok && v.user.Active && t.Epoch == v.user.Epoch && t.Subject == v.user.ID {
				out.item = &staticRecord{account: a, salt: own(t.Salt), since: micros(t.Created)}
				out.size = size + len(t.Salt)
			}
			return out
		},
		open: func(it item) with[storage.StaticToken] {
			r := it.(*staticRecord)
			return with[storage.StaticToken]{r.token(&k.Digest), r.user(&r.head)}
		},
		own: func(v with[storage.StaticToken]) with[storage.StaticToken] {
			v.record.Salt = own(v.record.Salt)
			v.user = v.user.Clone()
			return v
		},
	})
	return v.record, v.user, err
}

// credentialKey returns the key of a digest for calls with that purpose. Purposes have separate
// keys, so nothing that is cached for one purpose, including that the digest is unknown, affects
// another one. Only the end of the digest depends on the purpose, so all keys of a digest have the
// same shard and counter, and a Change names only the digest.
func (s *Store) credentialKey(purpose string, d storage.Digest) Key {
	k := Key{Kind: Credentials, Digest: d}
	end := k.Digest[len(k.Digest)-8:]
	binary.LittleEndian.PutUint64(end, binary.LittleEndian.Uint64(end)^maphash.String(s.seed, purpose))
	return k
}

// CredentialByDigest implements storage.Credentials.
func (s *Store) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	if s.bypassed(ctx, Credentials) {
		return s.base.CredentialByDigest(ctx, purpose, d)
	}
	k := s.credentialKey(purpose, d)
	switch it, unknown := s.find(ctx, &k); {
	case it != nil:
		if r := it.(*credentialRecord); r.at(wordPurpose) == purpose {
			return r.credential(&d), r.user(&r.head), nil
		}
		return s.base.CredentialByDigest(ctx, purpose, d) // a hash collision of two purposes
	case unknown:
		return storage.Credential{}, storage.User{}, storage.ErrNotFound
	}
	return s.loadCredential(ctx, k, purpose, d)
}

func (s *Store) loadCredential(ctx context.Context, k Key, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	v, err := load(ctx, s, k, lookup[with[storage.Credential]]{
		unknown: true,
		read: func(ctx context.Context) (v with[storage.Credential], err error) {
			c, u, err := s.base.CredentialByDigest(ctx, purpose, d)
			v.set(c, u)
			return v, err
		},
		keep: func(v *with[storage.Credential]) kept {
			c := &v.record
			out := kept{deps: names{s.stripeOfSubject(c.Subject), s.stripeOfKey(&k)}}
			a, size, ok := s.newAccount(&v.user, c.Scopes, nil, nil, c.ID, c.Name, c.Purpose)
			if ok && v.user.Active && c.Epoch == v.user.Epoch && c.Subject == v.user.ID && c.Purpose == purpose {
				r := &credentialRecord{account: a, since: micros(c.Created), expires: micros(c.Expires), lastUsed: micros(c.LastUsed), max: micros(c.Max), ttl: c.TTL}
				if c.Data != nil {
					data := own(c.Data)
					r.data = &data
				}
				out.item, out.size = r, size+len(c.Data)*9/8
			}
			if !c.Expires.IsZero() {
				out.expires = c.Expires
			}
			return out
		},
		open: func(it item) with[storage.Credential] {
			r := it.(*credentialRecord)
			return with[storage.Credential]{r.credential(&d), r.user(&r.head)}
		},
		own: func(v with[storage.Credential]) with[storage.Credential] {
			v.record.Scopes, v.record.Data = own(v.record.Scopes), own(v.record.Data)
			v.user = v.user.Clone()
			return v
		},
	})
	return v.record, v.user, err
}

// SessionByDigest implements storage.Sessions.
func (s *Store) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	if s.bypassed(ctx, Sessions) {
		return s.base.SessionByDigest(ctx, d)
	}
	k := Key{Kind: Sessions, Digest: d}
	switch it, unknown := s.find(ctx, &k); {
	case it != nil:
		r := it.(*sessionRecord)
		return r.session(&k.Digest), r.user(&r.head), nil
	case unknown:
		return storage.Session{}, storage.User{}, storage.ErrNotFound
	}
	return s.loadSession(ctx, k)
}

func (s *Store) loadSession(ctx context.Context, k Key) (storage.Session, storage.User, error) {
	v, err := load(ctx, s, k, lookup[with[storage.Session]]{
		unknown: true,
		read: func(ctx context.Context) (v with[storage.Session], err error) {
			t, u, err := s.base.SessionByDigest(ctx, k.Digest)
			t.Data = slices.Clip(t.Data) // so that append copies
			v.set(t, u)
			return v, err
		},
		keep: func(v *with[storage.Session]) kept {
			t := &v.record
			out := kept{deps: names{s.stripeOfSubject(t.Subject)}, expires: t.Expires}
			if t.Ends.Before(t.Expires) {
				out.expires = t.Ends
			}
			a, size, ok := s.newAccount(&v.user, nil, nil, t.AMR, t.ID, t.Address, t.ACR)
			live := t.Subject == "" || v.user.Active
			if ok && live && t.Epoch == v.user.Epoch && t.Subject == v.user.ID {
				r := &sessionRecord{
					account: a, version: t.Version, userAgent: unique.Make(t.UserAgent),
					since: micros(t.Created), authTime: micros(t.AuthTime), lastSeen: micros(t.LastSeen), expires: micros(t.Expires), until: micros(t.Ends),
				}
				if t.Data != nil {
					data := own(t.Data)
					r.data = &data
				}
				out.item = r
				out.size = size + len(t.Data)*9/8 + len(t.UserAgent)
			}
			return out
		},
		open: func(it item) with[storage.Session] {
			r := it.(*sessionRecord)
			return with[storage.Session]{r.session(&k.Digest), r.user(&r.head)}
		},
		own: func(v with[storage.Session]) with[storage.Session] {
			v.record.Data, v.record.AMR = own(v.record.Data), own(v.record.AMR)
			v.user = v.user.Clone()
			return v
		},
	})
	return v.record, v.user, err
}

// AccessByDigest implements storage.AccessTokens.
func (s *Store) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	if s.bypassed(ctx, AccessTokens) {
		return s.base.AccessByDigest(ctx, d)
	}
	k := Key{Kind: AccessTokens, Digest: d}
	switch it, unknown := s.find(ctx, &k); {
	case it != nil:
		return it.(*accessRecord).state(&k.Digest), nil
	case unknown:
		return storage.AccessState{}, storage.ErrNotFound
	}
	return s.loadAccess(ctx, k)
}

func (s *Store) loadAccess(ctx context.Context, k Key) (storage.AccessState, error) {
	return load(ctx, s, k, lookup[storage.AccessState]{
		unknown: true,
		read: func(ctx context.Context) (storage.AccessState, error) {
			st, err := s.base.AccessByDigest(ctx, k.Digest)
			st.User.Password = ""
			return st, err
		},
		keep: func(st *storage.AccessState) kept {
			t := &st.Access
			out := kept{expires: t.Expires}
			out.deps = names{s.stripeOfSubject(t.Subject), s.stripeOfBlock(storage.BlockKeyOf(storage.BlockSID, "", t.Family)), s.stripeOfBlock(blockClient(t.Client))}
			a, size, ok := s.newAccount(&st.User, t.Scopes, t.Resource, t.AMR, t.ID, t.Family, t.Client, actors.Pack(t.Confirm, t.Actors), t.ACR)
			live := !st.Ended && (t.Subject == "" || st.User.Active)
			if ok && live && t.Epoch == st.User.Epoch && t.Subject == st.User.ID {
				out.item = &accessRecord{account: a, authTime: micros(t.AuthTime), since: micros(t.Created), expires: micros(t.Expires)}
				out.size = size
			}
			return out
		},
		open: func(it item) storage.AccessState { return it.(*accessRecord).state(&k.Digest) },
		own: func(st storage.AccessState) storage.AccessState {
			st.Access.Scopes, st.Access.Resource, st.Access.Actors, st.Access.AMR = own(st.Access.Scopes), own(st.Access.Resource), own(st.Access.Actors), own(st.Access.AMR)
			st.User = st.User.Clone()
			return st
		},
	})
}
