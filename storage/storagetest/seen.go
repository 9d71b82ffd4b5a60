package storagetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/vestibule-auth/vestibule/storage"
)

// errNoList is returned for what only the store's own list could do. It means that the rule lacks a
// call of kit.needs.
var errNoList = errors.New("storagetest: store has no such list")

// seenCredentials lists the credentials that were created through it, so that the rules of
// Credentials can be tested on a store without CredentialList.
type seenCredentials struct {
	storage.Credentials
	mu   sync.Mutex
	seen []storage.Credential
}

func (s *seenCredentials) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) ([]storage.Credential, error) {
	evicted, err := s.Credentials.CreateCredential(ctx, c, l)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, c)
	}
	return evicted, err
}

func (s *seenCredentials) ListCredentials(ctx context.Context, purpose, subject string, limit int) (list []storage.Credential, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.seen {
		got, u, err := s.CredentialByDigest(ctx, purpose, c.Digest)
		switch {
		case errors.Is(err, storage.ErrNotFound):
		case err != nil:
			return nil, err
		case got.Subject == subject && got.Epoch == u.Epoch:
			list = append(list, got)
		}
	}
	slices.SortFunc(list, func(a, b storage.Credential) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return list[:min(max(limit, 0), len(list))], nil
}

func (*seenCredentials) DeleteCredentialsOf(context.Context, string, string, string) (int, error) {
	return 0, errNoList
}

func (*seenCredentials) CredentialPurposes(context.Context, string) ([]string, error) {
	return nil, errNoList
}

func (*seenCredentials) DeleteAllCredentialsOf(context.Context, string) (int, error) {
	return 0, errNoList
}

// seenSessions is seenCredentials for sessions.
type seenSessions struct {
	storage.Sessions
	mu   sync.Mutex
	seen []storage.Digest
}

func (s *seenSessions) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	err := s.Sessions.CreateSession(ctx, v, replaces)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, v.Digest)
	}
	return err
}

func (s *seenSessions) ListSessions(ctx context.Context, subject string, limit int) (list []storage.Session, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.seen {
		v, u, err := s.SessionByDigest(ctx, d)
		switch {
		case errors.Is(err, storage.ErrNotFound):
		case err != nil:
			return nil, err
		case subject != "" && v.Subject == subject && v.Epoch == u.Epoch:
			v.Data = nil
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b storage.Session) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), strings.Compare(a.ID, b.ID))
	})
	return list[:min(max(limit, 0), len(list))], nil
}

func (*seenSessions) DeleteSessionOf(context.Context, string, string) error { return errNoList }

func (*seenSessions) DeleteSessionsOf(context.Context, string, string) (int, error) {
	return 0, errNoList
}

func (*seenSessions) SessionByID(context.Context, string, string) (storage.Session, error) {
	return storage.Session{}, errNoList
}

func (*seenSessions) DeleteSeries(context.Context, string, string, string) (int, error) {
	return 0, errNoList
}
