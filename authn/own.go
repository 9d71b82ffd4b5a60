package authn

import "net/http"

// AuthenticateOwn asks one scheme about a request whose route has no chain in front of it, such as
// a logout (Middleware.Public), under the limits of refused credentials that its middleware has
// (Options.Refusals): without them, junk sent there is looked up however much of it comes. Give
// errors to Respond, which counts refusals. Behind a chain, or without a middleware or a limiter,
// it is a.Authenticate.
//
// A login endpoint reads no Authorization and must not call it: a credential that the client
// still sends, and that was revoked, must not keep it from logging in.
func AuthenticateOwn(a Authenticator, r *http.Request) (Identity, error) {
	var limit RefusalLimiter
	if s := stateFrom(r.Context()); s != nil && s.m != nil && s.id == nil {
		limit = s.m.refusals
	}
	if limit == nil || len(r.Header["Authorization"]) == 0 {
		return a.Authenticate(r)
	}
	if err := limit.Admit(r); err != nil {
		return Identity{}, err
	}
	id, err := a.Authenticate(r)
	if err == nil && id.Authenticated() {
		limit.Accepted(r)
	}
	return id, err
}
