package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/jose"
)

// elsewhere are the responses to a token that another verifier of the chain may accept.
type elsewhere struct{ algorithm, issuer, audience, client error }

func (v *Verifier) newElsewhere() elsewhere {
	because := func(err error) error { return authn.Unrecognized(v.invalid.WithCause(err)) }
	return elsewhere{
		algorithm: because(errAlgorithm),
		issuer:    because(claimError("iss", errors.New("another issuer"))),
		audience:  because(claimError("aud", errors.New("wrong audience"))),
		client:    because(v.clientError(errors.New("not in the list of clients"))),
	}
}

var errAlgorithm = fmt.Errorf("%w: alg is not in the list of algorithms", jose.ErrInvalid)

// selects returns an error for a token that is not for this verifier. The claims are not verified
// yet. It does not read the keys, because they may have to be fetched from a server that is down.
func (v *Verifier) selects(t *jose.Token) error {
	c := t.Claims
	algorithm := v.opts.Algorithms == nil || slices.Contains(v.opts.Algorithms, t.Header.Algorithm)
	switch audience, err := v.hasAudience(c); {
	case !v.hasIssuer(c) && !algorithm:
		return v.others.algorithm
	case !v.hasIssuer(c):
		return v.others.issuer
	case err != nil:
		return v.refuse(err)
	case !audience:
		return v.others.audience
	case !algorithm:
		return v.refuse(errAlgorithm)
	}
	if v.audiences[0] == "" && v.opts.Clients != nil { // the list takes the place of an audience
		var a Access
		if err := v.clientOf(c, &a); err != nil {
			return v.refuse(err)
		}
		if !slices.Contains(v.opts.Clients, a.Client) {
			return v.others.client
		}
	}
	return nil
}

// hasIssuer reports whether "iss" is one of the verifier's issuers.
func (v *Verifier) hasIssuer(c jose.Claims) bool {
	iss, ok := c.Text("iss")
	if !ok {
		_, present := c.Get("iss")
		return v.opts.NoIssuer && !present
	}
	if v.opts.Tenants != nil {
		_, ok := tenantOf(v.issuer, iss)
		return ok
	}
	return slices.Contains(v.issuers, iss)
}

// identityIssuer returns the issuer of the identity.
func (v *Verifier) identityIssuer(c jose.Claims) string {
	iss, ok := c.Text("iss")
	switch {
	case v.opts.SameIssuer != "":
		return v.opts.SameIssuer
	case !ok:
		return v.issuer
	}
	return iss
}

// hasAudience reports whether "aud" has an accepted audience. Without an audience, a token that
// names one is for another API.
func (v *Verifier) hasAudience(c jose.Claims) (bool, error) {
	list, err := audienceList(c)
	if v.audiences[0] == "" {
		return len(list) == 0, err
	}
	return meet(list, v.audiences), nil // a claim of the wrong type has none of them
}

func audienceList(c jose.Claims) ([]string, error) {
	if _, ok := c.Get("aud"); !ok {
		return nil, nil
	}
	if one, ok := c.Text("aud"); ok {
		if one == "" {
			return nil, nil
		}
		return []string{one}, nil
	}
	list, ok := c.Texts("aud")
	if !ok {
		return nil, claimError("aud", errors.New("neither a string nor a list of strings"))
	}
	return list, nil
}

// readForeign returns the claims of another issuer's verified token.
func (v *Verifier) readForeign(t *jose.Token) (*Access, error) {
	c := t.Claims
	reg, err := v.checks.CheckTimes(c)
	if err != nil {
		return nil, err
	}
	if most := v.opts.MaxLifetime; most > 0 {
		switch {
		case reg.IssuedAt.IsZero():
			return nil, claimError("iat", errors.New("missing, so the lifetime is unknown"))
		case reg.Expires.Sub(reg.IssuedAt) > most:
			return nil, claimError("exp", errors.New("the lifetime exceeds MaxLifetime"))
		}
	}
	a := &Access{Issuer: v.identityIssuer(c), Issued: reg.IssuedAt, Expires: reg.Expires}
	if err := v.issuedAt(a); err != nil {
		return nil, err
	}
	if a.Audience, err = audienceList(c); err != nil {
		return nil, err
	}
	if err := v.identified(c, a); err != nil {
		return nil, err
	}
	if err := v.common(t, a); err != nil {
		return nil, err
	}
	if a.AuthTime.After(v.opts.Clock().Add(v.opts.Leeway)) {
		return nil, claimError("auth_time", errors.New("in the future"))
	}
	if a.Type != TypeAccess && !v.opts.AllowIDTokens {
		if err := refuseIDToken(c); err != nil {
			return nil, err
		}
	}
	if err := v.sameTenant(c); err != nil {
		return nil, err
	}
	if err := v.required(t); err != nil {
		return nil, err
	}
	if a.Subject, err = v.subjectOf(c); err != nil {
		return nil, err
	}
	subject := a.Subject
	if err := v.party(t, a); err != nil {
		return nil, err
	}
	a.finish(a.Issuer, subject, v.opts.OwnIssuer)
	return a, nil
}

// identified sets ID.
func (v *Verifier) identified(c jose.Claims, a *Access) (err error) {
	claim := v.opts.IDClaim
	if claim == "" {
		claim = "jti"
	}
	if a.ID, err = identifierOf(c, claim); err == nil && a.ID == "" && !v.opts.NoID {
		err = claimError(claim, errors.New("missing"))
	}
	return err
}

func (v *Verifier) subjectClaim() string {
	if v.opts.SubjectClaim != "" {
		return v.opts.SubjectClaim
	}
	return "sub"
}

// subjectOf returns the subject. With NoSubject, an empty one counts as missing.
func (v *Verifier) subjectOf(c jose.Claims) (string, error) {
	claim := v.subjectClaim()
	if text, ok := c.Text(claim); ok && text == "" && v.opts.NoSubject {
		return "", nil
	}
	subject, err := identifierOf(c, claim)
	if err == nil && subject == "" && !v.opts.NoSubject {
		err = claimError(claim, errors.New("missing"))
	}
	return subject, err
}

// identifierOf is optionalText without control characters.
func identifierOf(c jose.Claims, name string) (string, error) {
	s, err := optionalText(c, name)
	if err == nil && strings.ContainsFunc(s, func(r rune) bool { return r < unicode.MaxASCII && unicode.IsControl(r) || r == unicode.MaxASCII }) {
		err = claimError(name, errors.New("contains a control character"))
	}
	return s, err
}

// foreign checks the token of another issuer and completes its identity.
func (v *Verifier) foreign(ctx context.Context, k *known) (err error) {
	if err := v.allowedTenant(ctx, k.access); err != nil {
		return err
	}
	if v.opts.Blocklist != nil {
		subject := "" // epochs belong to subjects of this application, not to those of another issuer
		if v.opts.OwnIssuer {
			subject = k.access.Subject
		}
		st, err := v.opts.Blocklist.TokenStatusOf(ctx, subject, k.access.keys)
		if err != nil {
			return err
		}
		// A blocklist without the accounts has no epochs, so 0 says nothing. Without a subject, the
		// epoch is the least one of all accounts, and Version may be that of a client. A later Version
		// is no current one either: it can be of a time that a restore of the database took back.
		if subject != "" && st.Epoch != 0 && k.access.Version != st.Epoch {
			return v.invalid.WithCause(credential.ErrEpoch)
		}
		if st.Blocked {
			return v.invalid.WithCause(errBlocked)
		}
	}
	if v.opts.Accounts != nil && k.access.Subject != "" {
		return v.local(ctx, k)
	}
	k.identity.Roles = k.own.Roles
	switch {
	case v.opts.User != nil:
		k.identity.User, err = audit.Call("jwt.VerifierOptions.User", func() (authn.User, error) { return v.opts.User(ctx, k.access.clone()) })
	case v.opts.Blocklist == nil && v.opts.Tenants == nil:
		k.lease = always{}
	}
	return err
}

var errBlocked = errors.New("blocked: logged out or reused")
