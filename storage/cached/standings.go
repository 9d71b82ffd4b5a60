package cached

import (
	"context"

	"github.com/vestibule-auth/vestibule/storage"
)

// A standing is kept under the JTI of its token. Whoever asks with the same JTI but
// another subject or other keys is not answered by it: two issuers' tokens never share an
// answer, and neither do two configurations of one.

// TokenStatusOf implements storage.Blocklist. Without a JTI it asks the store.
func (s *Store) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	if keys.JTI.IsZero() || s.direct(ctx, Standings) {
		return s.base.TokenStatusOf(ctx, subject, keys)
	}
	k := Key{Standings, storage.Digest(keys.JTI)}
	if it, _ := s.find(&k); it != nil {
		r := it.(*standingRecord)
		if r.sid == keys.SID && r.ofAll == keys.Subject && r.subject == subject {
			return storage.TokenStatus{Epoch: r.subjectEpoch}, nil
		}
		return s.base.TokenStatusOf(ctx, subject, keys)
	}
	return s.loadStanding(ctx, k, subject, keys)
}

// asked is a standing with what was asked for: a flight is of a JTI.
type asked struct {
	with[storage.TokenStatus]
	subject string
	keys    storage.BlockKeys
}

func (s *Store) loadStanding(ctx context.Context, k Key, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	v, err := load(ctx, s, k, lookup[asked]{
		read: func(ctx context.Context) (asked, error) {
			v := asked{subject: subject, keys: keys}
			var err error
			v.record, err = s.base.TokenStatusOf(ctx, subject, keys)
			return v, err
		},
		keep: func(v *asked) kept {
			out := kept{deps: s.standsOn(subject, keys)}
			if !v.record.Blocked {
				out.item = &standingRecord{subject: subject, sid: keys.SID, ofAll: keys.Subject, subjectEpoch: v.record.Epoch}
				out.size = recordSize + len(subject)*9/8
			}
			return out
		},
		open: func(it item) asked {
			r := it.(*standingRecord)
			v := asked{subject: r.subject, keys: storage.BlockKeys{JTI: keys.JTI, SID: r.sid, Subject: r.ofAll}}
			v.record.Epoch = r.subjectEpoch
			return v
		},
	})
	if v.subject != subject || v.keys != keys { // another's flight, also where it failed
		return s.base.TokenStatusOf(ctx, subject, keys)
	}
	return v.record, err
}

func (s *Store) standsOn(subject string, keys storage.BlockKeys) names {
	return names{s.stripeOfSubject(subject), s.stripeOfBlock(keys.JTI), s.stripeOfBlock(keys.SID), s.stripeOfBlock(keys.Subject)}
}

// TokenStatusWithUser implements storage.Blocklist. Without a JTI it asks the store.
func (s *Store) TokenStatusWithUser(ctx context.Context, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	if keys.JTI.IsZero() || s.direct(ctx, UserStandings) {
		return s.base.TokenStatusWithUser(ctx, subject, keys)
	}
	k := Key{UserStandings, storage.Digest(keys.JTI)}
	if it, _ := s.find(&k); it != nil {
		r := it.(*userStandingRecord)
		if r.sid == keys.SID && r.ofAll == keys.Subject && r.at(wordID) == subject {
			return r.user(&r.head), storage.TokenStatus{Epoch: r.epoch}, nil
		}
		return s.base.TokenStatusWithUser(ctx, subject, keys)
	}
	return s.loadUserStanding(ctx, k, subject, keys)
}

func (s *Store) loadUserStanding(ctx context.Context, k Key, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	v, err := load(ctx, s, k, lookup[asked]{
		read: func(ctx context.Context) (asked, error) {
			v := asked{subject: subject, keys: keys}
			u, st, err := s.base.TokenStatusWithUser(ctx, subject, keys)
			v.account(st, u)
			return v, err
		},
		keep: func(v *asked) kept {
			out := kept{deps: s.standsOn(subject, keys)}
			a, size, ok := s.newAccount(&v.user, nil, nil)
			if ok && !v.record.Blocked && v.user.Active && v.user.ID == subject && v.user.Epoch == v.record.Epoch {
				out.item = &userStandingRecord{account: a, sid: keys.SID, ofAll: keys.Subject}
				out.size = size
			}
			return out
		},
		open: func(it item) asked {
			r := it.(*userStandingRecord)
			v := asked{subject: r.at(wordID), keys: storage.BlockKeys{JTI: keys.JTI, SID: r.sid, Subject: r.ofAll}}
			v.record.Epoch, v.user = r.epoch, r.user(&r.head)
			return v
		},
		own: func(v asked) asked {
			v.user = v.user.Clone()
			return v
		},
	})
	if v.subject != subject || v.keys != keys { // another's flight, also where it failed
		return s.base.TokenStatusWithUser(ctx, subject, keys)
	}
	return v.user, v.record, err
}
