package authn

import "net/http"

// AuthenticateOwn asks one scheme about a request whose route has no chain in front of it, such as
// a logout (Middleware.Public), under the limits of refused credentials that its middleware has
// (Options.Refusals): without them, junk sent there is looked up however much of it comes. Give
// errors to Respond, which counts refusals. Behind a chain, or without a middleware or a limiter,
// it is a.Authenticate. For a credential in the body there is [AdmitOwn].
//
// A login endpoint reads no Authorization and must not call it: a credential that the client
// still sends, and that was revoked, must not keep it from logging in.
func AuthenticateOwn(a Authenticator, r *http.Request) (Identity, error) {
	s, limit := limitOf(r)
	if limit == nil {
		return a.Authenticate(r)
	}
	p := presentedTo(newLeaf(a))
	if !p.Any(r) {
		return a.Authenticate(r)
	}
	if err := limit.Admit(r, p); err != nil {
		return Identity{}, err
	}
	s.own = true
	id, err := a.Authenticate(r)
	if err == nil && id.Authenticated() {
		limit.Accepted(r, p, id.names())
	}
	return id, err
}

// AdmitOwn asks the limits of refused credentials that the request's middleware has
// (Options.Refusals) about a credential that the request carries in its body, before an endpoint
// checks it. It returns an *Error with status 429 if the credential is not to be checked now. Give
// the error of the check to Respond, which counts refusals, and call accepted if there was none,
// with whose credential it is and the credentials that the answer holds in its place.
//
// It is for credentials that nobody can guess. Passwords have a LoginLimiter.
func AdmitOwn(r *http.Request, credential string) (accepted func(id Identity, issued ...string), err error) {
	s, limit := limitOf(r)
	if limit == nil || credential == "" {
		return func(Identity, ...string) {}, nil
	}
	p := &Presented{text: credential}
	if err := limit.Admit(r, p); err != nil {
		return nil, err
	}
	s.own = true
	return func(id Identity, issued ...string) {
		for _, text := range append(issued, credential) {
			limit.Accepted(r, &Presented{text: text}, id.names())
		}
	}, nil
}

// limitOf returns the limit of refused credentials for an endpoint that no chain is in front of.
func limitOf(r *http.Request) (*state, RefusalLimiter) {
	if s := stateFrom(r.Context()); s != nil && s.m != nil && s.id == nil {
		return s, s.m.refusals
	}
	return nil, nil
}

// names returns whose credential it is, without what a handler must not reach.
func (id *Identity) names() Identity {
	return Identity{Subject: id.Subject, Client: id.Client, Issuer: id.Issuer, Scheme: id.Scheme}
}
