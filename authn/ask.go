package authn

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/internal/same"
)

// ask lets one member of the chain authenticate, and returns how long the identity can be kept,
// or nil. f is unchanged if err is not nil.
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
	if id.Client != "" && id.Scopes == nil {
		id.Scopes = []string{}
	}
	k := id.takeMark(l.Authenticator)
	f.own = newOwned(&id)
	return k, nil
}

// askWithoutCookies asks a leaf without the request's cookies, since it might prefer one to the
// Authorization. A body or form that it read is taken back.
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

// askKeeper is ask for a Keeper: it uses the identity that is kept of an earlier request with the
// same credentials. It stands where the chain asks the member, so that no earlier member, no
// order and no event is bypassed.
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
	if e := p.table.get(r.Context(), &d, l.Authenticator); e != nil {
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

// askGuessable is askKeeper for credentials that people choose; see guess. keeps is false if the
// table is not to be used, but even then a wrong guess ends what it holds.
func (p *plan) askGuessable(l *leaf, r *http.Request, text string, keeps bool, f *found) error {
	var d digest
	var e *entry
	if keeps {
		if d, keeps = p.guessedDigest(r, text); keeps {
			e = p.table.get(r.Context(), &d, l.Authenticator)
		}
	}
	if e != nil && !e.suspended() {
		if done, err := e.use(r, f); done {
			return err
		}
	}
	return p.guess(l, r, text, &d, e, keeps, f)
}

// guess lets the scheme check guessable credentials. e is what is kept of them, if it is not
// to be used now.
func (p *plan) guess(l *leaf, r *http.Request, text string, d *digest, e *entry, keeps bool, f *found) (err error) {
	source := sourceOf(p.proxies, r)
	if !source.IsValid() { // nothing is kept for it
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

// use lets a request have the identity of an entry. done is false if Authenticate must decide.
func (e *entry) use(r *http.Request, f *found) (done bool, err error) {
	if e.check != nil {
		if err := e.check(r); err != nil {
			return !errors.Is(err, ErrAskAgain), err
		}
	}
	f.shared = &e.id
	return true, nil
}

// keep gives f, and later requests, what the table keeps of it.
func (p *plan) keep(r *http.Request, d *digest, l *leaf, k *Keep, g *guess, f *found) {
	if Explained(r.Context()) { // the scheme has not noted the use, as it does before it lets an identity be kept
		return
	}
	if e := p.table.remember(r.Context(), d, l.Authenticator, &f.own.id, k, g); e != nil {
		f.shared = &e.id
	}
}
