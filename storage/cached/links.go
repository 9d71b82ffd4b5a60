package cached

import (
	"context"

	"github.com/vestibule-auth/vestibule/storage"
)

// linkRecord is a storage.Link to an enabled account.
type linkRecord struct {
	head
	account
	since int64
}

// Indexes of the texts of a linkRecord.
const (
	wordLinkID = wordOwn + iota
	wordLinkIssuer
	wordLinkForeign
)

func (r *linkRecord) link() storage.Link {
	return storage.Link{
		Issuer: r.at(wordLinkIssuer), Foreign: r.at(wordLinkForeign), ID: r.at(wordLinkID), Subject: r.at(wordID), Created: timeOf(r.since),
	}
}

func linkKey(issuer, foreign string) Key {
	return Key{Kind: Links, Digest: storage.Digest(storage.BlockKeyOf("link", issuer, foreign))}
}

// LinkOf implements storage.Links.
func (s *Store) LinkOf(ctx context.Context, issuer, foreign string) (storage.Link, storage.User, error) {
	if s.bypassed(ctx, Links) {
		return s.base.LinkOf(ctx, issuer, foreign)
	}
	k := linkKey(issuer, foreign)
	switch it, unknown := s.find(ctx, &k); {
	case it != nil:
		r := it.(*linkRecord)
		return r.link(), r.user(&r.head), nil
	case unknown:
		return storage.Link{}, storage.User{}, storage.ErrNotFound
	}
	v, err := load(ctx, s, k, lookup[with[storage.Link]]{
		unknown: true,
		read: func(ctx context.Context) (v with[storage.Link], err error) {
			l, u, err := s.base.LinkOf(ctx, issuer, foreign)
			v.set(l, u)
			return v, err
		},
		keep: func(v *with[storage.Link]) kept {
			l := &v.record
			out := kept{deps: names{s.stripeOfSubject(l.Subject)}}
			a, size, ok := s.newAccount(&v.user, nil, nil, nil, l.ID, l.Issuer, l.Foreign)
			if ok && v.user.Active && l.Subject == v.user.ID {
				out.item, out.size = &linkRecord{account: a, since: micros(l.Created)}, size
			}
			return out
		},
		open: func(it item) with[storage.Link] {
			r := it.(*linkRecord)
			return with[storage.Link]{r.link(), r.user(&r.head)}
		},
		own: func(v with[storage.Link]) with[storage.Link] {
			v.user = v.user.Clone()
			return v
		},
	})
	return v.record, v.user, err
}

// CreateLink implements storage.Links. The user is no longer cached as unknown in this process.
func (s *Store) CreateLink(ctx context.Context, l storage.Link, epoch int64) error {
	return s.renew(ctx, func(ctx context.Context) error { return s.base.CreateLink(ctx, l, epoch) }, Change{Key: linkKey(l.Issuer, l.Foreign)})
}

// DeleteLink implements storage.Links.
func (s *Store) DeleteLink(ctx context.Context, subject, id string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.DeleteLink(ctx, subject, id) }, ofSubject(subject))
}
