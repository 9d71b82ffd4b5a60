package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// proofCase is a request to the API with the change of a good proof.
type proofCase struct {
	name   string
	header map[string]any
	claims map[string]any
	// send replaces the request; nil sends the proof.
	send func(p *party, access string, key signer) answer
}

// refusedProofs are requests that the API must refuse.
func refusedProofs(p *party) []proofCase {
	now := p.f.clock()
	good := func(p *party, key signer, access string) string {
		return p.proof(key, http.MethodGet, p.f.issuer+resourcePath, access, nil)
	}
	private := func(key signer) map[string]any { return with(key.jwk(), map[string]any{"d": encode(make([]byte, 32))}) }
	list := []proofCase{
		{name: "two proofs", send: func(p *party, access string, key signer) answer {
			return p.resourceBy("DPoP "+access, good(p, key, access), good(p, key, access))
		}},
		{name: "not a JWS", send: func(p *party, access string, _ signer) answer { return p.resourceBy("DPoP "+access, "proof") }},
		{name: "no proof", send: func(p *party, access string, _ signer) answer { return p.resourceBy("DPoP " + access) }},
		{name: "no proof, as a bearer token", send: func(p *party, access string, _ signer) answer { return p.resourceBy("Bearer " + access) }},
		{name: "another key", send: func(p *party, access string, _ signer) answer { return p.resource(access, newES256("")) }},
		{name: "a bad signature", send: func(p *party, access string, key signer) answer {
			text := good(p, key, access)
			return p.resourceBy("DPoP "+access, text[:len(text)-8]+"AAAAAAAA")
		}},
		{name: "a private key", send: func(p *party, access string, key signer) answer {
			claims := map[string]any{"jti": "private", "htm": "GET", "htu": p.f.issuer + resourcePath, "iat": p.f.clock().Unix(), "ath": hashOf(access)}
			return p.resourceBy("DPoP "+access, key.sign(map[string]any{"typ": "dpop+jwt", "alg": key.alg, "jwk": private(key)}, claims))
		}},
		{name: "RS256 with a key for PS256", send: func(p *party, access string, _ signer) answer {
			key := clientKey()
			claims := map[string]any{"jti": "rs256", "htm": "GET", "htu": p.f.issuer + resourcePath, "iat": p.f.clock().Unix(), "ath": hashOf(access)}
			jwk := with(key.jwk(), map[string]any{"alg": "PS256"})
			return p.resourceBy("DPoP "+access, key.sign(map[string]any{"typ": "dpop+jwt", "alg": "RS256", "jwk": jwk}, claims))
		}},
		{name: "another typ", header: map[string]any{"typ": "JWT"}}, {name: "alg none", header: map[string]any{"alg": "none"}},
		{name: "another htm", claims: map[string]any{"htm": "POST"}}, {name: "another htu", claims: map[string]any{"htu": p.f.issuer + "/other"}},
		{name: "an old iat", claims: map[string]any{"iat": now.Add(-time.Hour).Unix()}}, {name: "a future iat", claims: map[string]any{"iat": now.Add(time.Hour).Unix()}},
		{name: "another ath", claims: map[string]any{"ath": hashOf("x")}},
	}
	for _, name := range []string{"typ", "alg", "jwk"} {
		list = append(list, proofCase{name: "no " + name, header: map[string]any{name: nil}})
	}
	for _, name := range []string{"jti", "htm", "htu", "iat", "ath"} {
		list = append(list, proofCase{name: "no " + name, claims: map[string]any{name: nil}})
	}
	return list
}

// acceptedProofs are requests that the API must serve.
func acceptedProofs(p *party) []proofCase {
	htu := p.f.issuer + resourcePath
	return []proofCase{
		{name: "htu with a query and a fragment", claims: map[string]any{"htu": htu + "?query=1#fragment"}}, {name: "htu without them"},
		{name: "more members and claims", header: map[string]any{"extra": "x"}, claims: map[string]any{"extra": "x"}},
		{name: "an upper-case scheme and host", claims: map[string]any{"htu": strings.Replace(htu, "https", "HTTPS", 1)}},
		{name: "DPOP as the name of the header", send: func(p *party, access string, key signer) answer {
			r := p.newRequest(http.MethodGet, htu, nil)
			r.Header.Set("Authorization", "DPoP "+access)
			r.Header["DPOP"] = []string{p.proof(key, http.MethodGet, htu, access, nil)}
			return p.send(r)
		}},
	}
}

// sendProof sends the request of a case.
func (p *party) sendProof(c proofCase, access string, key signer) answer {
	if c.send != nil {
		return c.send(p, access, key)
	}
	claims := map[string]any{"jti": c.name, "htm": "GET", "htu": p.f.issuer + resourcePath, "iat": p.f.clock().Unix(), "ath": hashOf(access)}
	header := map[string]any{"typ": "dpop+jwt", "alg": key.alg, "jwk": key.jwk()}
	return p.resourceBy("DPoP "+access, key.sign(with(header, c.header), with(claims, c.claims)))
}

func negativeProofs(p *party) {
	t, key := p.fapiLogin(p.client(1), p.fapiRequest(p.client(1)), true)
	for _, c := range refusedProofs(p) {
		if a := p.sendProof(c, t.access, key); a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
			p.failf("a proof with %s: %d", c.name, a.status)
		}
	}
	for _, c := range acceptedProofs(p) {
		if a := p.sendProof(c, t.access, key); a.status != http.StatusOK {
			p.failf("a proof with %s: %d %s", c.name, a.status, a.header.Get("WWW-Authenticate"))
		}
	}
	proof := p.proof(key, http.MethodGet, p.f.issuer+resourcePath, t.access, nil)
	p.served(p.resourceBy("DPoP "+t.access, proof))
	if a := p.resourceBy("DPoP "+t.access, proof); a.status == http.StatusOK {
		p.warnf("a proof is accepted twice")
	}
}

// brokenProofs are servers that accept one of the refused proofs, or refuse one of the others.
func brokenProofs() (list []mutation) {
	for i := range 24 { // the cases, and the proof that is sent twice
		list = append(list, acceptsRefused(resourcePath, i))
	}
	for i := range 5 {
		list = append(list, refusesAccepted(resourcePath, 1+i)) // the first is of the login
	}
	return list
}

// acceptsRefused answers the request with that number, of those that a path refuses, with 200.
func acceptsRefused(path string, number int) mutation {
	return mutation{fmt.Sprintf("refused request %d is accepted", number), func(f *fixture, next http.Handler) http.Handler {
		n := 0
		return answered("", path, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) {
			if a.status < 400 {
				return
			}
			if n == number {
				*a = reply{http.StatusOK, http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}, []byte(`{"access_token":"x","token_type":"DPoP","expires_in":60}`)}
			}
			n++
		}).wrap(f, next)
	}}
}

// refusesAccepted answers the request with that number, of those that a path serves, with 401.
func refusesAccepted(path string, number int) mutation {
	return mutation{fmt.Sprintf("good request %d is refused", number), func(f *fixture, next http.Handler) http.Handler {
		n := 0
		return answered("", path, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) {
			if a.status >= 400 {
				return
			}
			if n == number {
				*a = reply{http.StatusUnauthorized, http.Header{}, nil}
			}
			n++
		}).wrap(f, next)
	}}
}
