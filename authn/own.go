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
// the error of the check to Respond, which counts a 401, and call Accepted if there was none.
//
// It is for credentials that nobody can guess. Passwords have a LoginLimiter.
func AdmitOwn(r *http.Request, credential string) (*OwnCredential, error) {
	s, limit := limitOf(r)
	if limit == nil || credential == "" {
		return nil, nil
	}
	if err := limit.Admit(r, &Presented{texts: []string{credential}}); err != nil {
		return nil, err
	}
	s.own = true
	return &OwnCredential{limit, r, credential}, nil
}

// OwnCredential is a credential that AdmitOwn let an endpoint check. nil is one that no limit
// counts.
type OwnCredential struct {
	limit RefusalLimiter
	r     *http.Request
	text  string
}

// Accepted reports that the credential is valid, whose it is, and which credentials the answer has
// in its place. While others of the address are stopped, these are checked all the same.
func (o *OwnCredential) Accepted(id Identity, issued ...string) {
	if o == nil {
		return
	}
	for _, text := range append(issued, o.text) {
		if text != "" {
			o.limit.Accepted(o.r, &Presented{texts: []string{text}}, id.names())
		}
	}
}

// Issued reports credentials that a login, or what takes the place of another credential, gives to the
// caller of r, and whose they are. While others of the address are stopped by the limits of refused
// credentials that the request's middleware has (Options.Refusals), these are checked all the same:
// else somebody at the same address would make every login useless. A scheme whose valid credential
// authenticates nobody, such as the session of a visitor, calls it with each request, with a name of
// the credential for id.Client.
//
// together are those that later requests present with each other, such as two cookies, in the order of
// the chain. Call it once for each if they come alone.
func Issued(r *http.Request, id Identity, together ...string) {
	if len(together) == 0 {
		return
	}
	if s, _ := r.Context().Value(seenKey{}).(*state); s != nil && s.m != nil && s.m.refusals != nil { // also before it is decided
		s.m.refusals.Accepted(r, &Presented{texts: together}, id.names())
	}
}

// Unknown counts a credential that nobody knows if the endpoint answers it with something else than
// 401, such as one that revokes tokens (RFC 7009, section 2.2). It returns nil, or the *Error with
// status 429 to answer in its place.
func (o *OwnCredential) Unknown() error {
	if o == nil {
		return nil
	}
	err := o.limit.Refused(o.r, errUnknownOwn)
	if e := refusal(err); e != nil && e.Status == http.StatusTooManyRequests {
		return e
	}
	return nil
}

var errUnknownOwn = AuthenticationFailed("Invalid token.")

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
