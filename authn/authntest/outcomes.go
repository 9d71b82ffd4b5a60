package authntest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
)

// strangers are requests without credentials of the tested scheme.
var strangers = map[string]func(*http.Request){
	"a request without credentials": func(*http.Request) {},
	"an unknown keyword":            func(r *http.Request) { r.Header.Set("Authorization", "X-Unknown abc") },
	"another cookie":                func(r *http.Request) { r.Header.Set("Cookie", "x-unknown=abc") },
	"another header":                func(r *http.Request) { r.Header.Set("X-Unknown", "abc") },
}

func absentRule(p *probe) {
	for what, add := range strangers {
		p.want(what, p.ask(add), absent)
	}
}

func acceptedRule(p *probe) {
	for what, add := range p.accepted() {
		p.want(what, p.ask(add), accepted)
	}
}

// identities calls f for each accepted credential.
func (p *probe) identities(f func(what string, id authn.Identity)) {
	for what, add := range p.accepted() {
		if o := p.ask(add); o.kind() == accepted {
			f(what, o.id)
		}
	}
}

func namesSomebody(p *probe) {
	p.identities(func(what string, id authn.Identity) {
		if !id.Authenticated() {
			p.Errorf("%s: accepted, but the identity has no Subject and no Client: %s", what, describe(id))
		}
	})
}

func schemeName(p *probe) {
	n, _ := authn.AbilityOf[authn.Namer](p.Scheme)
	p.identities(func(what string, id authn.Identity) {
		if id.Scheme != n.Name() {
			p.Errorf("%s: Identity.Scheme is %q, Name() is %q", what, id.Scheme, n.Name())
		}
	})
}

func clientHasScopes(p *probe) {
	p.identities(func(what string, id authn.Identity) {
		if id.Client != "" && id.Scopes == nil {
			p.Errorf("%s: the identity of client %q has nil Scopes", what, id.Client)
		}
	})
}

func rejectedRule(p *probe) {
	for what, add := range p.rejected() {
		p.want(what, p.ask(add), rejected, unrecognized)
	}
}

// refusals calls f with each rejection: of bad credentials, and of the good ones after each event.
func (p *probe) refusals(f func(what string, err error)) {
	report := func(what string, o outcome) {
		if o.kind() == rejected {
			f(what, o.err)
		}
	}
	for what, add := range p.rejected() {
		report(what, p.ask(add))
	}
	for _, e := range p.events() {
		q := p.another()
		q.end(e.name)
		report("Good after "+e.name, q.ask(q.Good))
	}
}

// end triggers one of the events.
func (p *probe) end(name string) {
	for _, e := range p.events() {
		if e.name == name {
			e.do()
		}
	}
}

func rejectionAnswer(p *probe) {
	p.refusals(func(what string, err error) {
		var e *authn.Error
		errors.As(err, &e)
		if e.Status < 400 || e.Status > 499 || e.Code == "" || e.Detail == "" && len(e.Members) == 0 {
			p.Errorf("%s: status %d, code %q, text %q", what, e.Status, e.Code, e.Detail)
		}
	})
}

func errorWithoutIdentity(p *probe) {
	check := func(what string, o outcome) {
		if o.err != nil && !isZero(o.id) {
			p.Errorf("%s: an error together with an identity: %s", what, describe(o.id))
		}
	}
	for what, add := range strangers {
		check(what, p.ask(add))
	}
	for what, add := range p.rejected() {
		check(what, p.ask(add))
	}
	for _, e := range p.events() {
		q := p.another()
		q.end(e.name)
		check("Good after "+e.name, q.ask(q.Good))
	}
	if p.Fail != nil {
		p.Fail()
		check("Good after Fail", p.ask(p.Good))
	}
}

func badChangesNothing(p *probe) {
	if p.alone("Good").kind() != accepted {
		return // rule accepted reports it
	}
	if p.locks() {
		p.want("Good after all of Bad", p.ask(p.Good), accepted)
	}
}

// locks reports whether Good is rejected after bad credentials.
func (p *probe) locks() bool {
	for _, add := range p.rejected() {
		_ = p.ask(add)
	}
	return p.ask(p.Good).kind() != accepted
}

func faultRule(p *probe) {
	if p.alone("Good").kind() != accepted {
		return
	}
	p.Fail()
	for what, add := range map[string]func(*http.Request){"Good": p.Good, "Unknown": p.Unknown} {
		if add == nil {
			continue
		}
		o := p.ask(add)
		if what == "Unknown" && o.kind() == rejected {
			continue // a scheme may detect it without its store
		}
		var e *authn.Error
		if errors.As(o.err, &e) && e != nil && e.Status == http.StatusServiceUnavailable {
			continue // the scheme chose the response
		}
		p.want(what+" after Fail", o, fault)
		if q := p.another(); o.kind() != fault || q.answer(q.Good).isAnonymous() {
			continue // rule chain reports it
		}
		if a := p.answer(add); a.status != http.StatusServiceUnavailable {
			p.Errorf("%s after Fail: the middleware answers %d, want 503", what, a.status)
		}
	}
}

func faultAbsent(p *probe) {
	p.Fail()
	for what, add := range strangers {
		o := p.ask(add)
		if p.another().ask(add).kind() == absent {
			p.want(what+" after Fail", o, absent)
		}
	}
}

func canceledRule(p *probe) {
	gone := func(add func(*http.Request)) outcome {
		r := p.request(add)
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		return p.call(r.WithContext(ctx))
	}
	if p.alone("Good").kind() != accepted {
		return
	}
	if o := gone(p.Good); o.kind() != accepted {
		p.want("Good of a canceled request", o, fault)
	}
	p.want("Good of the next request", p.ask(p.Good), accepted)
}

// answered is the response of a middleware.
type answered struct {
	status  int
	subject string // of the handler's identity
	client  string
	header  http.Header
	log     string
}

func (a answered) isAnonymous() bool { return a.subject+a.client == "" }

// through returns a function that sends requests through a middleware with a chain.
func through(a authn.Authenticator, o authn.Options) func(*http.Request) answered {
	var log bytes.Buffer
	var id authn.Identity
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	h := authn.New(a, &o).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id = authn.FromContext(r.Context())
		w.WriteHeader(http.StatusNoContent)
	}))
	return func(r *http.Request) answered {
		log.Reset()
		id = authn.Identity{}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return answered{w.Code, id.Subject, id.Client, w.Header(), log.String()}
	}
}

// answer returns the response of a middleware with this scheme.
func (p *probe) answer(add func(*http.Request)) answered {
	return through(p.Scheme, authn.Options{})(p.request(add))
}

// chainRule checks in a chain what the other rules check of Authenticate. In a chain, Headers,
// Formats and Renew have an effect too.
func chainRule(p *probe) {
	if p.has("authn.HeaderReader") && p.another().headerFaults() != nil || p.has("authn.FormatDeclarer") && p.claimFault() != "" {
		return // rules headers and formats report it
	}
	after := authn.Func(func(*http.Request) (authn.Identity, error) { return authn.Identity{}, authn.ErrNoCredentials })
	send := through(authn.Chain{p.Scheme, after}, authn.Options{})
	if o := p.alone("Good"); o.kind() == accepted && o.id.Authenticated() {
		a := send(p.request(p.Good))
		if a.status != http.StatusNoContent || a.subject != o.id.Subject || a.client != o.id.Client {
			p.Errorf("Good: status %d, subject %q, client %q, and without a chain %v", a.status, a.subject, a.client, o)
		}
	}
	for what, add := range p.rejected() {
		if !p.alone(what).kind().refused() {
			continue
		}
		if a := send(p.request(add)); a.status < 400 {
			p.Errorf("%s: status %d, want 401", what, a.status)
		}
	}
	for what, add := range strangers {
		if p.another().ask(add).kind() != absent {
			continue
		}
		if a := send(p.request(add)); a.status != http.StatusNoContent || !a.isAnonymous() {
			p.Errorf("%s: status %d, subject %q, want an anonymous request", what, a.status, a.subject)
		}
	}
}

// ambientRule tests the protection of csrf.SameOrigin.
func ambientRule(p *probe) {
	if p.alone("Good").kind() != accepted {
		return
	}
	for what, change := range map[string]func(*http.Request){
		"POST":      func(r *http.Request) { r.Method = "POST" },
		"DELETE":    func(r *http.Request) { r.Method = "DELETE" },
		"WebSocket": func(r *http.Request) { r.Header.Set("Connection", "Upgrade"); r.Header.Set("Upgrade", "websocket") },
	} {
		r := p.request(p.Good)
		change(r)
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		p.want(fmt.Sprintf("Good, %s from another site", what), p.call(r), rejected)
	}
}
