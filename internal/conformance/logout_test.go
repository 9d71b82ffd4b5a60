package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
)

const logoutPrefix = "oidcc-rp-initiated-logout"

func logoutRows() []row {
	endsNothing := fails("the session never ends", logoutPath, http.StatusServiceUnavailable, always)
	return []row{
		{module: logoutPrefix + "-discovery-endpoint-verification", check: func(p *party) { p.secure("end_session_endpoint", p.endpoint("end_session_endpoint")) }, broken: []mutation{
			without(openIDPath, "end_session_endpoint"), member(openIDPath, "end_session_endpoint", "http://auth.example/logout"),
		}},
		{module: logoutPrefix, check: func(p *party) { p.loggedOut(p.logout()) }, broken: []mutation{
			keepsSession, logoutSentBack("another state", func(v url.Values) { v.Set("state", "x") }), logoutSentBack("more parameters", func(v url.Values) { v.Set("user", "alice") }),
			ignored(logoutPath, "post_logout_redirect_uri"),
		}},
		{module: logoutPrefix + "-bad-post-logout-redirect-uri", check: func(p *party) { p.notSent(p.logout("post_logout_redirect_uri", "https://evil.example/")) }, broken: []mutation{redirectsLogouts}},
		{module: logoutPrefix + "-modified-id-token-hint", check: func(p *party) { p.notSent(p.logoutWith(modifiedHint)) }, broken: []mutation{redirectsLogouts}},
		{module: logoutPrefix + "-bad-id-token-hint", check: func(p *party) { p.notSent(p.logoutWith(strangersHint)) }, broken: []mutation{redirectsLogouts}},
		{module: logoutPrefix + "-no-id-token-hint", check: func(p *party) { p.notSent(p.logout("id_token_hint", "")) }, broken: []mutation{redirectsLogouts}},
		{module: logoutPrefix + "-no-params", check: func(p *party) {
			p.ended(p.logout("id_token_hint", "", "post_logout_redirect_uri", "", "state", ""))
		}, broken: []mutation{endsNothing, keepsSession}},
		{module: logoutPrefix + "-only-state", check: func(p *party) { p.ended(p.logout("id_token_hint", "", "post_logout_redirect_uri", "")) }, broken: []mutation{endsNothing, keepsSession}},
		{module: logoutPrefix + "-no-post-logout-redirect-uri", check: func(p *party) { p.ended(p.logout("post_logout_redirect_uri", "")) }, broken: []mutation{endsNothing, keepsSession}},
		{module: logoutPrefix + "-no-state", check: func(p *party) { p.loggedOut(p.logout("state", "")) }, broken: []mutation{
			keepsSession, logoutSentBack("an invented state", func(v url.Values) { v.Set("state", "x") }),
		}},
		{module: logoutPrefix + "-query-added-to-post-logout-redirect-uri", check: func(p *party) {
			p.notSent(p.logout("post_logout_redirect_uri", p.client(1).logouts[0]+"?foo=bar"))
		}, broken: []mutation{redirectsLogouts}},
	}
}

// keepsSession loses the cookies that a logout deletes, and the request that ends the session.
var keepsSession = mutation{"the session lives on", func(f *fixture, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := parameters(r)
		if r.URL.Path != logoutPath || v.Has("handle") == false && !v.Has("id_token_hint") {
			next.ServeHTTP(w, r)
			return
		}
		to := v.Get("post_logout_redirect_uri")
		if to == "" {
			w.WriteHeader(http.StatusOK)
			return
		}
		if v.Has("state") {
			to += "?" + url.Values{"state": v["state"]}.Encode()
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
}}

// logoutSentBack changes the parameters of the redirect after a logout.
func logoutSentBack(what string, edit func(url.Values)) mutation {
	return answered(what, logoutPath, func(_ *fixture, r *http.Request, _ url.Values, a *reply) {
		if to, err := url.Parse(a.header.Get("Location")); err == nil && to.Host != "" && to.Host != r.Host {
			v := to.Query()
			edit(v)
			to.RawQuery = v.Encode()
			a.header.Set("Location", to.String())
		}
	})
}

// redirectsLogouts sends the browser to the address of the request, whoever registered it.
var redirectsLogouts = answered("any address is accepted", logoutPath, func(_ *fixture, _ *http.Request, v url.Values, a *reply) {
	if to := v.Get("post_logout_redirect_uri"); to != "" {
		a.status = http.StatusSeeOther
		a.header.Set("Location", to)
	}
})

// loggedOutState is the state of a logout request, of 128 characters.
var loggedOutState = strings.Repeat("state123", 16)

// farewell is a logout request and what the browser got.
type farewell struct {
	q url.Values
	v visit
}

// logout logs in and sends a logout request with some parameters changed. The user confirms it.
func (p *party) logout(pairs ...string) farewell {
	return p.logoutWith(nil, pairs...)
}

// logoutWith is logout with a function that changes the hint.
func (p *party) logoutWith(hint func(*party, string) string, pairs ...string) farewell {
	t := p.login(p.client(1), p.request(p.client(1), "openid"))
	if hint != nil {
		t.id = hint(p, t.id)
	}
	q := changed(url.Values{"id_token_hint": {t.id}, "post_logout_redirect_uri": {p.client(1).logouts[0]}, "state": {loggedOutState}}, pairs...)
	address := p.endpoint("end_session_endpoint")
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	return farewell{q, p.browser.open(address)}
}

func modifiedHint(p *party, id string) string {
	header, claims, err := parts(id)
	if err != nil {
		p.fatalf("%v", err)
	}
	header["alg"] = "none"
	return p.f.signing.sign(header, claims)
}

func strangersHint(p *party, id string) string {
	header, claims, err := parts(id)
	if err != nil {
		p.fatalf("%v", err)
	}
	return stranger().sign(header, claims)
}

// stranger is a key that no server has.
var stranger = sync.OnceValue(func() signer { return newRSA("signing", "RS256") })

// loggedOut checks a logout that redirects the browser: equal state, and no session afterwards.
func (p *party) loggedOut(w farewell) {
	if w.v.isPage() {
		p.fatalf("the browser was not sent back, but got %d %.200s", w.v.status, w.v.body)
	}
	got := w.v.callback
	if to := *got.url; to.Scheme+"://"+to.Host+to.Path != w.q.Get("post_logout_redirect_uri") {
		p.failf("the browser was sent to %s", got.url.Redacted())
	}
	if got.values.Get("state") != w.q.Get("state") || got.values.Has("state") != w.q.Has("state") {
		p.failf("the state is %q", got.values.Get("state"))
	}
	for name := range got.values {
		if name != "state" {
			p.warnf("the redirect has %s", name)
		}
	}
	p.withoutSession()
}

// withoutSession checks that the user has no session: a silent request fails.
func (p *party) withoutSession() {
	q := p.request(p.client(1), "openid", "prompt", "none")
	p.rejected(p.authorize(q), q, notSilent...)
}

// notSent checks that the browser stays at the server: an error, or a page after a question.
func (p *party) notSent(w farewell) {
	if !w.v.isPage() {
		p.failf("the browser was sent to %s", w.v.callback.url.Redacted())
	}
}

// ended checks that the user is logged out and sees a page, after at most one question.
func (p *party) ended(w farewell) {
	switch {
	case !w.v.isPage():
		p.failf("the browser was sent to %s", w.v.callback.url.Redacted())
	case w.v.status != http.StatusOK:
		p.failf("the page has status %d", w.v.status)
	case w.v.logouts > 1:
		p.failf("%d questions", w.v.logouts)
	}
	p.withoutSession()
}
