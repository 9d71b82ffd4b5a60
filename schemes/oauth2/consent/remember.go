package consent

import (
	"context"
	"errors"
	"slices"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// A remembered consent (Options.Remember) is the last decision of a user about a client, with
// everything that it allowed. It covers the same scopes and resources, or fewer, while the client
// has a grant. Without a grant the user was told that the application has no access, so it does not
// count.

// rememberable reports whether a request may be granted without showing the page, because of a
// remembered consent or because the client is trusted. It returns false for an implicit grant, and
// for a public client that any program on the user's machine could impersonate (RFC 8252, section
// 8.6), and for another port on localhost than the registered one.
func rememberable(q server.AuthorizationRequest) bool {
	if q.Implicit {
		return false
	}
	if !q.Registered.Public() && !q.Registered.FromDocument() {
		// The port on localhost is free only by an option of the server.
		return oauth2.MatchRedirect(q.Registered, q.To)
	}
	return !syntax.LeadsToDevice(q.To)
}

// remember stores what the user allowed.
func (p *Pages) remember(ctx context.Context, q server.AuthorizationRequest, u server.SessionUser) error {
	if p.opts.Remember <= 0 || !rememberable(q) {
		return nil
	}
	now := p.server.Now()
	err := p.store.PutConsent(ctx, storage.Consent{
		Subject: u.Subject, Client: q.Client, Scopes: q.Scopes, Resource: q.Resource, Epoch: u.Epoch, Created: now, Expires: now.Add(p.opts.Remember),
	})
	if errors.Is(err, storage.ErrStale) {
		return nil // no code is issued, either
	}
	return err
}

// remembered reports whether a remembered consent covers the request.
func (p *Pages) remembered(ctx context.Context, q server.AuthorizationRequest, u server.SessionUser) (bool, error) {
	if p.opts.Remember <= 0 || q.Prompt == "consent" || !rememberable(q) {
		return false, nil
	}
	c, err := p.store.ConsentOf(ctx, u.Subject, q.Client)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case c.Created.Before(q.Registered.Document.Changed): // given to another name, or to other redirect URIs
		return false, nil
	case c.Epoch != u.Epoch || c.Expired(p.server.Now()) || !p.covers(c, q):
		return false, nil
	}
	return p.server.HasGrant(ctx, u.Subject, q.Client)
}

// covers reports whether a consent includes everything that is requested. A consent without
// resources was given for a server without an Audience and never includes a resource.
func (p *Pages) covers(c storage.Consent, q server.AuthorizationRequest) bool {
	within := func(requested, allowed []string) bool {
		return !slices.ContainsFunc(requested, func(one string) bool { return !slices.Contains(allowed, one) })
	}
	if !within(q.Scopes, c.Scopes) {
		return false
	}
	if len(q.Resource) == 0 {
		return len(c.Resource) == 0
	}
	return within(q.Resource, c.Resource)
}
