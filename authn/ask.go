package authn

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/internal/same"
)

// ask calls one member of the chain and sets f to its identity. It returns how the identity can be
// kept, or nil. If it returns an error, f is unchanged.
func (l *leaf) ask(r *http.Request, f *found) (*Keep, error) {
	id, err := l.Authenticate(r)
	switch {
	case err != nil:
		return nil, err
	case !id.Authenticated():
		return nil, errNoIdentity
	}
	if id.Scheme == "" {
		id.Scheme = l.name
	}
	if (id.Client != "" || id.actors != nil) && id.Scopes == nil {
		id.Scopes = []string{}
	}
	k := id.takeMark(l.Authenticator)
	f.own = newOwned(&id)
	return k, nil
}

// askWithoutCookies calls a member without the cookies of the request, because the member might
// prefer a cookie to the Authorization header. The request keeps a body or form that the member
// read.
func (p *plan) askWithoutCookies(l *leaf, r *http.Request, f *found) error {
	bare := *r
	bare.Header = r.Header.Clone()
	delete(bare.Header, "Cookie")
	var err error
	if l.keeper != nil && p.table != nil {
		err = p.askKeeper(l, &bare, f)
	} else {
		_, err = l.ask(&bare, f)
	}
	if !same.Value(bare.Body, r.Body) {
		r.Body = bare.Body
	}
	if bare.Form != nil && r.Form == nil {
		r.Form, r.PostForm, r.MultipartForm = bare.Form, bare.PostForm, bare.MultipartForm
	}
	return err
}

// askKeeper is ask for a [Keeper]. It uses the identity kept from an earlier request with the same
// credentials, if there is one. The table is read here, when it is the member's turn, so that
// earlier members, the order and the events are the same as without a table.
func (p *plan) askKeeper(l *leaf, r *http.Request, f *found) error {
	text, guessable := l.keeper.Presented(r)
	keeps := text != "" && !(l.safeOnly && MayChange(r))
	switch {
	case guessable:
		return p.askGuessable(l, r, text, keeps, f)
	case !keeps:
		_, err := l.ask(r, f)
		return err
	}
	d := digestOf(text)
	e := p.table.get(r.Context(), &d, l.Authenticator, f)
	p.looked(r.Context(), e)
	if e != nil {
		if done, err := e.use(r, f); done {
			return err
		}
	}
	k, err := l.ask(r, f)
	if err == nil && k != nil {
		p.keep(r, &d, l, k, nil, f)
	}
	return err
}

// askGuessable is askKeeper for credentials that people choose; see guess. If keeps is false, the
// table is not used, but a wrong guess still removes its entries.
func (p *plan) askGuessable(l *leaf, r *http.Request, text string, keeps bool, f *found) error {
	var d digest
	var e *entry
	if keeps {
		if d, keeps = p.guessedDigest(r, text); keeps {
			e = p.table.get(r.Context(), &d, l.Authenticator, f)
		}
		if e != nil && e.suspended() {
			p.looked(r.Context(), nil)
		} else {
			p.looked(r.Context(), e)
		}
	}
	if e != nil && !e.suspended() {
		if done, err := e.use(r, f); done {
			return err
		}
	}
	return p.guess(l, r, text, &d, e, keeps, f)
}

// guess calls the scheme for guessable credentials. e is the entry that is kept for them but cannot
// be used now, or nil.
func (p *plan) guess(l *leaf, r *http.Request, text string, d *digest, e *entry, keeps bool, f *found) (err error) {
	source := sourceOf(p.proxies, r)
	if !source.IsValid() { // nothing is kept without an address
		_, err := l.ask(r, f)
		return err
	}
	g := p.table.begin(source, e != nil && !e.ended())
	right := false
	defer func() { g.end(right) }() // also if the scheme panics
	k, err := l.ask(r, f)
	if err == nil && k != nil && keeps {
		p.keep(r, d, l, k, g, f)
	}
	right = err == nil || text == "" && isAbsent(err)
	return err
}

// use sets f to the identity of the entry. done is false if Authenticate must be called.
func (e *entry) use(r *http.Request, f *found) (done bool, err error) {
	if e.check != nil {
		if err := e.check(r); err != nil {
			return !errors.Is(err, ErrAskAgain), err
		}
	}
	f.shared, f.kept = &e.id, true
	return true, nil
}

// keep stores the identity of f in the table and makes f use the stored one.
func (p *plan) keep(r *http.Request, d *digest, l *leaf, k *Keep, g *guess, f *found) {
	if Explained(r.Context()) { // the scheme did not record the use, which it does before an identity is kept
		return
	}
	if e := p.table.remember(r.Context(), d, l.Authenticator, &f.own.id, k, g); e != nil {
		f.shared = &e.id
	}
}
