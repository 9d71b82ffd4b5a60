package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

func openedTwice(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c, "prompt", "consent")
	address := p.opens(c, p.pushed(c, q), q)
	p.browser.stays = true
	if v := p.browser.open(address); v.status != http.StatusOK {
		p.warnf("the first page has status %d", v.status)
	}
	p.browser.stays = false
	v := p.browser.open(address)
	if v.isPage() || v.callback.values.Has("error") {
		p.warnf("a request that was opened twice, and answered once, is rejected")
		return
	}
	p.boundTokens(c, p.exchangeBound(c, p.accepted(v, q), q, newES256("")), q)
}

// opensOnce uses up a pushed request when its page is opened.
var opensOnce = mutation{"a pushed request is used up when it is opened", func(f *fixture, next http.Handler) http.Handler {
	var seen []string
	return fails("", authorizePath, http.StatusBadRequest, func(r *http.Request, v url.Values) bool {
		again := slices.Contains(seen, v.Get("request_uri"))
		seen = append(seen, v.Get("request_uri"))
		return r.Method == http.MethodGet && again
	}).wrap(f, next)
}}

func usedAgain(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c)
	address := p.opens(c, p.pushed(c, q), q)
	p.accepted(p.browser.open(address), q)
	v := p.browser.open(address)
	if !v.isPage() && v.callback.values.Has("code") {
		p.warnf("a request_uri can be used again")
		return
	}
	p.rejectedOrPage(v, q, "invalid_request_uri")
}

func expiredRequest(p *party) {
	c := p.client(1)
	q := p.fapiRequest(c)
	a := p.push(c, q)
	seconds, ok := number(a.json, "expires_in")
	if a.status != http.StatusCreated || !ok {
		p.fatalf("the pushed request: %d %s", a.status, a.body)
	}
	p.wait(time.Duration(seconds+1) * time.Second)
	p.rejectedOrPage(p.browser.open(p.opens(c, a.text("request_uri"), q)), q, "invalid_request_uri")
}

// usesAgain sends a code for pushed requests that the server rejects.
var usesAgain = answered("a request_uri is valid for ever and for everyone", authorizePath, func(f *fixture, _ *http.Request, q url.Values, a *reply) {
	if a.status >= 400 && q.Has("request_uri") {
		a.sendBack(f, q, url.Values{"code": {"vac_0123456789abcdefghijklmnopqrstuvwxyz"}})
	}
})

func othersRequest(p *party) {
	q := p.fapiRequest(p.client(1))
	uri := p.pushed(p.client(1), q)
	p.rejectedOrPage(p.browser.open(p.opens(p.client(2), uri, q)), q, "invalid_request", "invalid_request_object", "invalid_request_uri")
}

func pushByPut(p *party) {
	q := p.fapiRequest(p.client(1))
	r := p.newRequest(http.MethodPut, p.endpoint("pushed_authorization_request_endpoint"), asserting(q, p.assertion(p.client(1), "", nil)))
	if a := p.send(r); a.status < 400 {
		p.failf("a request was pushed by PUT: %d", a.status)
	}
}

// fapiRefresh refreshes with new keys. A server that rotates refresh tokens must still accept the
// last one, because its response may have been lost; ours does not rotate them.
func fapiRefresh(p *party) {
	c, other := p.client(1), p.client(2)
	q := p.fapiRequest(c)
	first, _ := p.fapiLogin(c, q, true)
	q2 := p.fapiRequest(other)
	foreign, _ := p.fapiLogin(other, q2, true)
	if first.refresh == "" || foreign.refresh == "" {
		p.fatalf("no refresh_token")
	}
	form := func(token string) url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "scope": {"profile"}}
	}
	refresh := func(token string) answer {
		return p.postBound(form(token), p.assertion(c, "", nil), p.atToken(newES256("")))
	}
	key := newES256("")
	second := p.boundTokens(c, p.postBound(form(first.refresh), p.assertion(c, "", nil), p.atToken(key)), q)
	p.served(p.resource(second.access, key))
	if second.refresh != "" && second.refresh != first.refresh {
		p.wait(30 * time.Second)
		p.boundTokens(c, refresh(first.refresh), q)
	}
	p.refused(p.postBound(form(first.refresh), "", p.atToken(newES256(""))), "invalid_client", "invalid_grant", "invalid_request")
	p.refused(p.postBound(form(first.refresh), p.assertion(c, "", nil)), noProof...)
	p.refused(refresh(foreign.refresh), "invalid_grant")
}

// brokenRefresh are servers that accept one of the refused refreshes.
func brokenRefresh() (list []mutation) {
	for i := range 3 {
		list = append(list, acceptsRefused(tokenPath, i))
	}
	return append(list, refusesAccepted(tokenPath, 2)) // the first refresh, after two exchanges
}
