package cached

import (
	"context"

	"github.com/vestibule-auth/vestibule/storage"
)

var _ storage.LiveUsers = (*Store)(nil)

// liveRecord is an enabled account with the fingerprint of its hash.
type liveRecord struct {
	head
	account
	fingerprint storage.Digest
}

// liveUser is the result of LiveUser.
type liveUser struct {
	user        storage.User
	fingerprint storage.Digest
}

// LiveUser implements storage.LiveUsers.
func (s *Store) LiveUser(ctx context.Context, id string) (storage.User, storage.Digest, error) {
	if s.bypassed(ctx, LiveUsers) {
		v, err := s.readLive(ctx, id)
		return v.user, v.fingerprint, err
	}
	k := Key{Kind: LiveUsers, Digest: storage.DigestOf(id)}
	if it, _ := s.find(ctx, &k); it != nil {
		r := it.(*liveRecord)
		return r.user(&r.head), r.fingerprint, nil
	}
	v, err := s.loadLive(ctx, k, id)
	return v.user, v.fingerprint, err
}

func (s *Store) readLive(ctx context.Context, id string) (liveUser, error) {
	u, err := s.base.UserByID(ctx, id)
	if err != nil {
		return liveUser{}, err
	}
	v := liveUser{u, u.Password.Fingerprint()}
	v.user.Password = ""
	return v, nil
}

func (s *Store) loadLive(ctx context.Context, k Key, id string) (liveUser, error) {
	return load(ctx, s, k, lookup[liveUser]{
		read: func(ctx context.Context) (liveUser, error) { return s.readLive(ctx, id) },
		keep: func(v *liveUser) kept {
			out := kept{deps: names{s.stripeOfSubject(id)}}
			a, size, ok := s.newAccount(&v.user, nil, nil, nil)
			if ok && v.user.Active && v.user.ID == id {
				out.item, out.size = &liveRecord{account: a, fingerprint: v.fingerprint}, size
			}
			return out
		},
		open: func(it item) liveUser {
			r := it.(*liveRecord)
			return liveUser{r.user(&r.head), r.fingerprint}
		},
		own: func(v liveUser) liveUser {
			v.user = v.user.Clone()
			return v
		},
	})
}
