package oauth2

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"github.com/vestibule-auth/vestibule/storage"
)

// A consent that is remembered (Options.RememberConsent) is the last answer of a user to a
// client, with all that it allowed. It is good for the same or less, while a grant of the
// client lives: who sees no grant of an application was told that it may do nothing.

// rememberable reports whether a request's consent may be remembered: not that of a public
// client which anybody on the user's machine could be (RULES B5), nor of an implicit grant.
func rememberable(q request) bool {
	if q.Implicit {
		return false
	}
	if !q.client.Public() {
		return true
	}
	to, err := url.Parse(q.to)
	return err == nil && to.Scheme == "https" && !isLoopback(to.Hostname())
}

// remember keeps what the user allows.
func (s *Server) remember(ctx context.Context, q request, u user) error {
	if s.opts.RememberConsent <= 0 || !rememberable(q) {
		return nil
	}
	now := s.now()
	err := s.store.PutConsent(ctx, storage.Consent{
		Subject: u.subject, Client: q.Client, Scopes: q.Scopes, Resource: q.Resource, Epoch: u.epoch, Created: now, Expires: now.Add(s.opts.RememberConsent),
	})
	if errors.Is(err, storage.ErrStale) {
		return nil // no code comes of it either
	}
	return err
}

// remembered reports whether the user allowed what is asked for before.
func (s *Server) remembered(ctx context.Context, q request, u user) (bool, error) {
	if s.opts.RememberConsent <= 0 || q.Prompt == "consent" || !rememberable(q) {
		return false, nil
	}
	c, err := s.store.ConsentOf(ctx, u.subject, q.Client)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case c.Epoch != u.epoch || c.Expired(s.now()) || !s.covers(c, q):
		return false, nil
	}
	return s.hasGrant(ctx, u.subject, q.Client)
}

// hasGrant reports whether a user has a live grant to a client.
func (s *Server) hasGrant(ctx context.Context, subject, client string) (bool, error) {
	list, err := s.grants(ctx, subject, manyGrants)
	return slices.ContainsFunc(list, func(f storage.Family) bool { return f.Client == client }), err
}

// covers reports whether a consent includes everything that is requested. A request without a
// resource is for Options.Audience, so a consent to one never includes other resources.
func (s *Server) covers(c storage.Consent, q request) bool {
	within := func(requested, allowed []string) bool {
		return !slices.ContainsFunc(requested, func(one string) bool { return !slices.Contains(allowed, one) })
	}
	if !within(q.Scopes, c.Scopes) {
		return false
	}
	if len(c.Resource) == 0 {
		return within(q.Resource, []string{s.opts.Audience})
	}
	return len(q.Resource) > 0 && within(q.Resource, c.Resource)
}
