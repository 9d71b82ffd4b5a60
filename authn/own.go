package authn

import "net/http"

// AuthenticateOwn calls one scheme for a request whose route has no chain, such as a logout
// endpoint ([Middleware.Public]). It applies the limit of rejected credentials of the route's
// middleware (Options.Refusals). Without this limit, every invalid credential sent there would be
// looked up.
//
// Pass errors to [Respond], which counts rejections. If the route has a chain, or no middleware or
// limit, AuthenticateOwn only calls a.Authenticate. For credentials in the body, use [AdmitOwn].
//
// A login endpoint reads no Authorization header and MUST NOT call AuthenticateOwn: a client that
// still sends revoked credentials must be able to log in.
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

// AdmitOwn applies the limit of rejected credentials (Options.Refusals of the route's middleware)
// to credentials in the body of the request. Call it in an endpoint before you check the
// credentials. Use it only for credentials that cannot be guessed. For passwords, use a
// [LoginLimiter].
//
// It returns an [*Error] with status 429 if the credentials must not be checked now. Pass the error
// of your check to [Respond], which counts a 401. If your check accepts the credentials, call
// [OwnCredential.Accepted].
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

// OwnCredential is a credential that [AdmitOwn] allowed an endpoint to check. nil is valid, and
// means that no limit counts the credential.
type OwnCredential struct {
	limit RefusalLimiter
	r     *http.Request
	text  string
}

// Accepted reports that the credential is valid. id is the identity of the credential. The argument
// issued holds the new credentials that replace it in the response. They are checked even while
// other credentials from the client address are blocked.
func (o *OwnCredential) Accepted(id Identity, issued ...string) {
	if o == nil {
		return
	}
	o.accepted(id, o.text)
	for _, text := range issued {
		o.accepted(id, text)
	}
}

func (o *OwnCredential) accepted(id Identity, text string) {
	if text != "" {
		o.limit.Accepted(o.r, &Presented{texts: []string{text}}, id.names())
	}
}

// Issued reports new credentials to the limit of rejected credentials ([Options.Refusals]). id is
// their owner, and the response to r contains them. Call it when a login issues credentials, or
// when new credentials replace old ones. The new credentials are then checked even while others
// from the caller's address are blocked. Otherwise anyone at the same address could make every
// login useless. A scheme also calls Issued for each request with a valid credential that
// identifies no user, such as a visitor's session. It then sets id.Client to a text that identifies
// the credential.
//
// The argument together holds credentials that later requests contain together, such as two
// cookies, in the order of the chain. For credentials that requests contain separately, call Issued
// once for each.
func Issued(r *http.Request, id Identity, together ...string) {
	if len(together) == 0 {
		return
	}
	if limit := issuedTo(r); limit != nil {
		limit.Accepted(r, &Presented{texts: together}, id.names())
	}
}

// WantsIssued reports whether [Issued] has an effect for r. It has an effect if a limit of rejected
// credentials applies ([Options.Refusals]). Call it to avoid computing the arguments of Issued for
// nothing.
func WantsIssued(r *http.Request) bool { return issuedTo(r) != nil }

// issuedTo returns the limit that Issued reports to, also before the request is decided, or nil.
func issuedTo(r *http.Request) RefusalLimiter {
	if s, _ := r.Context().Value(seenKey{}).(*state); s != nil && s.m != nil {
		return s.m.refusals
	}
	return nil
}

// Unknown counts an unknown credential if the endpoint does not answer it with 401, such as an
// endpoint that revokes tokens (RFC 7009, section 2.2). It returns nil, or an [*Error] with status
// 429 to send instead.
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

// limitOf returns the limit of rejected credentials for an endpoint without a chain.
func limitOf(r *http.Request) (*state, RefusalLimiter) {
	if s := stateFrom(r.Context()); s != nil && s.m != nil && s.id == nil {
		return s, s.m.refusals
	}
	return nil, nil
}

// names returns only the names in id, without the values that an application must not modify.
func (id *Identity) names() Identity {
	return Identity{Subject: id.Subject, Client: id.Client, Issuer: id.Issuer, Scheme: id.Scheme}
}
