package cached

import (
	"context"

	"github.com/vestibule-auth/vestibule/storage"
)

// A standing is cached under the JTI of its token. A lookup with the same JTI but another subject
// or other keys does not use it. So tokens of two issuers, or of two configurations of one issuer,
// never share a result.

// TokenStatusOf implements storage.Blocklist. If keys has no JTI, it queries the store.
func (s *Store) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	if keys.JTI.IsZero() || s.bypassed(ctx, Standings) {
		return s.base.TokenStatusOf(ctx, subject, keys)
	}
	k := Key{Kind: Standings, Digest: storage.Digest(keys.JTI)}
	if it, _ := s.find(ctx, &k); it != nil {
		r := it.(*standingRecord)
		if r.sid == keys.SID && r.subKey == keys.Subject && r.subject == subject {
			return storage.TokenStatus{Epoch: r.subjectEpoch}, nil
		}
		return s.base.TokenStatusOf(ctx, subject, keys)
	}
	return s.loadStanding(ctx, k, subject, keys)
}

// standingOf is a standing with the subject and keys of the lookup, because callers with the same
// JTI share a call.
type standingOf struct {
	with[storage.TokenStatus]
	subject string
	keys    storage.BlockKeys
}

func (s *Store) loadStanding(ctx context.Context, k Key, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	v, err := load(ctx, s, k, lookup[standingOf]{
		read: func(ctx context.Context) (standingOf, error) {
			v := standingOf{subject: subject, keys: keys}
			var err error
			v.record, err = s.base.TokenStatusOf(ctx, subject, keys)
			return v, err
		},
		keep: func(v *standingOf) kept {
			out := kept{deps: s.standingDeps(subject, keys)}
			if !v.record.Blocked {
				out.item = &standingRecord{subject: subject, sid: keys.SID, subKey: keys.Subject, subjectEpoch: v.record.Epoch}
				out.size = recordSize + len(subject)*9/8
			}
			return out
		},
		open: func(it item) standingOf {
			r := it.(*standingRecord)
			v := standingOf{subject: r.subject, keys: storage.BlockKeys{JTI: keys.JTI, SID: r.sid, Subject: r.subKey}}
			v.record.Epoch = r.subjectEpoch
			return v
		},
	})
	if v.subject != subject || v.keys != keys { // the result, or failure, of another lookup
		return s.base.TokenStatusOf(ctx, subject, keys)
	}
	return v.record, err
}

func (s *Store) standingDeps(subject string, keys storage.BlockKeys) names {
	return names{s.stripeOfSubject(subject), s.stripeOfBlock(keys.JTI), s.stripeOfBlock(keys.SID), s.stripeOfBlock(keys.Subject)}
}

// TokenStatusWithUser implements storage.Blocklist. If keys has no JTI, it queries the store.
func (s *Store) TokenStatusWithUser(ctx context.Context, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	if keys.JTI.IsZero() || s.bypassed(ctx, UserStandings) {
		return s.base.TokenStatusWithUser(ctx, subject, keys)
	}
	k := Key{Kind: UserStandings, Digest: storage.Digest(keys.JTI)}
	if it, _ := s.find(ctx, &k); it != nil {
		r := it.(*userStandingRecord)
		if r.sid == keys.SID && r.subKey == keys.Subject && r.at(wordID) == subject {
			return r.user(&r.head), storage.TokenStatus{Epoch: r.epoch}, nil
		}
		return s.base.TokenStatusWithUser(ctx, subject, keys)
	}
	return s.loadUserStanding(ctx, k, subject, keys)
}

func (s *Store) loadUserStanding(ctx context.Context, k Key, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	v, err := load(ctx, s, k, lookup[standingOf]{
		read: func(ctx context.Context) (standingOf, error) {
			v := standingOf{subject: subject, keys: keys}
			u, st, err := s.base.TokenStatusWithUser(ctx, subject, keys)
			v.set(st, u)
			return v, err
		},
		keep: func(v *standingOf) kept {
			out := kept{deps: s.standingDeps(subject, keys)}
			a, size, ok := s.newAccount(&v.user, nil, nil, nil)
			if ok && !v.record.Blocked && v.user.Active && v.user.ID == subject && v.user.Epoch == v.record.Epoch {
				out.item = &userStandingRecord{account: a, sid: keys.SID, subKey: keys.Subject}
				out.size = size
			}
			return out
		},
		open: func(it item) standingOf {
			r := it.(*userStandingRecord)
			v := standingOf{subject: r.at(wordID), keys: storage.BlockKeys{JTI: keys.JTI, SID: r.sid, Subject: r.subKey}}
			v.record.Epoch, v.user = r.epoch, r.user(&r.head)
			return v
		},
		own: func(v standingOf) standingOf {
			v.user = v.user.Clone()
			return v
		},
	})
	if v.subject != subject || v.keys != keys { // the result, or failure, of another lookup
		return s.base.TokenStatusWithUser(ctx, subject, keys)
	}
	return v.user, v.record, err
}
