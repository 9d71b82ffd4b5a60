package jwt_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// verifierFor returns a verifier of another issuer or audience.
func verifierFor(t testing.TB, iss, aud string, ring *jose.KeySet, o jwt.VerifierOptions) *jwt.Verifier {
	t.Helper()
	if o.Clock == nil {
		o.Clock = func() time.Time { return time.Unix(1_800_000_000, 0) }
	}
	v, err := jwt.NewVerifier(iss, aud, ring, &o)
	schemetest.Must(t, err)
	return v
}

// subjects sends tokens with changed claims. The result is "subject@issuer", "/client" if there is
// one, or "-" if the token is rejected.
func subjects(t *testing.T, v *jwt.Verifier, ring *jose.KeySet, want map[string]claims) {
	t.Helper()
	for text, change := range want {
		expected, _, _ := strings.Cut(text, " ")
		for range 2 { // the second is answered from memory
			id, err := v.Authenticate(bearer(foreign(t, ring, change)))
			got := id.Subject + "@" + id.Issuer + "/" + id.Client
			if err != nil {
				var refused *authn.Error
				if got = "-"; !errors.As(err, &refused) && !errors.Is(err, authn.ErrUnrecognized) {
					got = "fault"
				}
			}
			if got != expected {
				t.Errorf("%s: %s, %v", text, got, err)
			}
		}
	}
}

// Each tenant is an issuer of its own, and only those in the list are accepted.
func TestTenants(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	const login = "https://login.example/"
	v := verifierFor(t, login+"{tenant}/v2", audience, ring, jwt.VerifierOptions{Tenants: jwt.TenantList("a", "b"), TenantClaim: "tid"})
	subjects(t, v, ring, map[string]claims{
		"user-7@https://login.example/a/v2/app A":   {"iss": login + "a/v2", "tid": "a"},
		"user-7@https://login.example/b/v2/app B":   {"iss": login + "b/v2", "tid": "b"},
		"- a tenant that is not listed":             {"iss": login + "c/v2", "tid": "c"},
		"- a tenant that begins alike":              {"iss": login + "ab/v2", "tid": "ab"},
		"- another case":                            {"iss": login + "A/v2", "tid": "A"},
		"- iss of A, tid of B":                      {"iss": login + "a/v2", "tid": "b"},
		"- no tid":                                  {"iss": login + "a/v2"},
		"- tid a list":                              {"iss": login + "a/v2", "tid": []string{"a"}},
		"- tid null":                                {"iss": login + "a/v2", "tid": jsonNull},
		"- no tenant":                               {"iss": login + "/v2", "tid": ""},
		"- two segments":                            {"iss": login + "a/x/v2", "tid": "a/x"},
		"- an escaped slash":                        {"iss": login + "a%2Fv2/v2", "tid": "a%2Fv2"},
		"- dots":                                    {"iss": login + "../v2", "tid": ".."},
		"- the template":                            {"iss": login + "{tenant}/v2", "tid": "{tenant}"},
		"- another host":                            {"iss": "https://login.example.evil.example/a/v2", "tid": "a"},
		"- a slash at the end":                      {"iss": login + "a/v2/", "tid": "a"},
		"- a query":                                 {"iss": login + "a/v2?x", "tid": "a"},
		"- no iss":                                  {"iss": nil, "tid": "a"},
		"- another audience":                        {"iss": login + "a/v2", "tid": "a", "aud": "x"},
		"@https://login.example/a/v2/app a machine": {"iss": login + "a/v2", "tid": "a", "sub": "app"},
	})
	none := verifierFor(t, login+"{tenant}/v2", audience, ring, jwt.VerifierOptions{Tenants: jwt.TenantList(), TenantClaim: "tid"})
	all := verifierFor(t, login+"{tenant}/v2", audience, ring, jwt.VerifierOptions{Tenants: func(context.Context, string) (bool, error) { return true, nil }, TenantClaim: "tid"})
	subjects(t, none, ring, map[string]claims{"- no tenants": {"iss": login + "a/v2", "tid": "a"}})
	subjects(t, all, ring, map[string]claims{
		"user-7@https://login.example/z/v2/app any": {"iss": login + "z/v2", "tid": "z"},
		"- the template, any":                       {"iss": login + "{tenant}/v2", "tid": "{tenant}"},
	})
}

// Tenants is called for each request. Its error is a fault, even if it is an error that would reject
// a request, and a tenant that leaves the list is rejected immediately.
func TestTenantsOfADatabase(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	var allowed bool
	var failure error
	v := verifierFor(t, "https://login.example/{tenant}", audience, ring, jwt.VerifierOptions{TenantClaim: "tid", Tenants: func(_ context.Context, tenant string) (bool, error) {
		if tenant == "panic" {
			panic("secret")
		}
		return allowed, failure
	}})
	m := authn.New(authn.Chain{v}, &authn.Options{Logger: schemetest.Quiet})
	token := foreign(t, ring, claims{"iss": "https://login.example/a", "tid": "a"})
	for _, step := range []struct {
		allowed bool
		err     error
		status  int
	}{
		{true, nil, 200}, {false, nil, 401}, {true, nil, 200}, {true, errors.New("down"), 503}, {false, errors.New("down"), 503},
		{true, authn.AuthenticationFailed("no"), 503}, {true, fmt.Errorf("x: %w", authn.ErrNoCredentials), 503}, {true, nil, 200},
	} {
		allowed, failure = step.allowed, step.err
		if got := through(m, token); got != step.status {
			t.Errorf("%+v: %d", step, got)
		}
	}
	if got := through(m, foreign(t, ring, claims{"iss": "https://login.example/panic", "tid": "panic"})); got != 503 {
		t.Errorf("a panic: %d", got)
	}
	called := false
	unsigned := verifierFor(t, "https://login.example/{tenant}", audience, ring, jwt.VerifierOptions{TenantClaim: "tid", Tenants: func(context.Context, string) (bool, error) {
		called = true
		return true, nil
	}})
	if got := statusOf(unsigned, foreign(t, ringOf(t, jose.EdDSA), claims{"iss": "https://login.example/a", "tid": "a"})); got != 401 || called {
		t.Errorf("a token of a stranger: %d, called %t", got, called)
	}
}

// Several issuers are different issuers of accounts unless SameIssuer says otherwise.
func TestSeveralIssuers(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	apart := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Issuers: []string{"idp.example"}})
	subjects(t, apart, ring, map[string]claims{
		"user-7@https://idp.example/app one": {}, "user-7@idp.example/app two": {"iss": "idp.example"},
		"- a slash": {"iss": idp + "/"}, "- another case": {"iss": "https://IDP.example"}, "- begins alike": {"iss": idp + ".evil.example"},
		"- a list": {"iss": []string{idp}}, "- null": {"iss": jsonNull}, "- none": {"iss": nil}, "- empty": {"iss": ""},
	})
	same := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Issuers: []string{"idp.example"}, SameIssuer: idp})
	subjects(t, same, ring, map[string]claims{"user-7@https://idp.example/app one": {}, "user-7@https://idp.example/app two": {"iss": "idp.example"}, "- a slash": {"iss": "idp.example/"}})
	bare := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{NoIssuer: true})
	subjects(t, bare, ring, map[string]claims{
		"user-7@https://idp.example/app present": {}, "user-7@https://idp.example/app absent": {"iss": nil},
		"- another": {"iss": "https://other.example"}, "- null": {"iss": jsonNull}, "- empty": {"iss": ""}, "- a number": {"iss": 7},
	})
	list := memory.New(nil)
	schemetest.Must(t, list.Block(t.Context(), time.Unix(1_900_000_000, 0), storage.BlockKeyOf(storage.BlockSubject, idp, "user-7")))
	blocked := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Issuers: []string{"idp.example"}, SameIssuer: idp, Blocklist: list})
	subjects(t, blocked, ring, map[string]claims{"- blocked": {}, "- blocked, the other spelling": {"iss": "idp.example"}})
}

// Without an audience, the list of clients takes its place, and a token that names an audience is
// for another API.
func TestNoAudience(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	v := verifierFor(t, idp, "", ring, jwt.VerifierOptions{Clients: []string{"app", "app3"}})
	subjects(t, v, ring, map[string]claims{
		"user-7@https://idp.example/app absent": {"aud": nil}, "user-7@https://idp.example/app an empty list": {"aud": none()}, "user-7@https://idp.example/app empty": {"aud": ""},
		"- an audience": {}, "- a list": {"aud": []string{audience}}, "- a list of an empty text": {"aud": []string{""}}, "- a number": {"aud": 7}, "- null": {"aud": jsonNull},
		"- an object": {"aud": claims{}}, "- another client": {"aud": nil, "client_id": "other"}, "- begins alike": {"aud": nil, "client_id": "app2"},
		"- no client": {"aud": nil, "client_id": nil}, "- a client list": {"aud": nil, "client_id": []string{"app"}}, "- an empty client": {"aud": nil, "client_id": ""},
	})
	with := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Clients: []string{"app"}})
	subjects(t, with, ring, map[string]claims{"user-7@https://idp.example/app both": {}, "- no audience": {"aud": nil}, "- another client": {"client_id": "other"}, "- no client": {"client_id": nil}})
}

// The subject comes from the named claim alone.
func TestSubjectClaim(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	v := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{SubjectClaim: "uid"})
	long := strings.Repeat("x", 300)
	subjects(t, v, ring, map[string]claims{
		"u1@https://idp.example/app uid": {"uid": "u1"}, "u1@https://idp.example/app a long sub": {"uid": "u1", "sub": long}, "u1@https://idp.example/app no sub": {"uid": "u1", "sub": nil},
		"- absent": {}, "- empty": {"uid": ""}, "- a number": {"uid": 1}, "- null": {"uid": jsonNull}, "- a list": {"uid": []string{"u1"}}, "- long": {"uid": long}, "- NUL": {"uid": "a\x00"}, "- a line break": {"uid": "a\nb"},
		"@https://idp.example/app the client": {"uid": "app"},
	})
	without := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{NoSubject: true})
	subjects(t, without, ring, map[string]claims{
		"user-7@https://idp.example/app sub": {}, "@https://idp.example/app absent": {"sub": nil}, "@https://idp.example/app empty": {"sub": ""},
		"- a number": {"sub": 7}, "- null": {"sub": jsonNull}, "- no client either": {"sub": nil, "client_id": nil}, "- long": {"sub": long},
	})
	strict := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{})
	subjects(t, strict, ring, map[string]claims{"- absent": {"sub": nil}, "- empty": {"sub": ""}, "- long": {"sub": long}})
}

// Clocks may differ by 30 seconds unless an option says otherwise. MaxLifetime requires "iat".
func TestForeignTimes(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	const now = 1_800_000_000
	accepted := func(o jwt.VerifierOptions, c claims) bool {
		v := verifierFor(t, idp, audience, ring, o)
		_, err := v.Authenticate(bearer(foreign(t, ring, c)))
		return err == nil
	}
	type o = jwt.VerifierOptions
	for name, c := range map[string]struct {
		opts   o
		change claims
		ok     bool
	}{
		"expired 29 s ago":             {o{}, claims{"iat": now - 60, "exp": now - 29}, true},
		"expired 30 s ago":             {o{}, claims{"iat": now - 60, "exp": now - 30}, false},
		"issued 30 s ahead":            {o{}, claims{"iat": now + 30}, true},
		"issued 31 s ahead":            {o{}, claims{"iat": now + 31}, false},
		"off, issued 1 s ahead":        {o{Leeway: jwt.LeewayOff}, claims{"iat": now + 1}, false},
		"off, expired now":             {o{Leeway: jwt.LeewayOff}, claims{"iat": now - 60, "exp": now}, false},
		"own issuer, issued 1 s ahead": {o{OwnIssuer: true}, claims{"iat": now + 1}, false},
		"own issuer with leeway":       {o{OwnIssuer: true, Leeway: time.Second}, claims{"iat": now + 1}, true},
		"two minutes":                  {o{Leeway: 2 * time.Minute}, claims{"iat": now + 90}, true},
		"auth_time 31 s ahead":         {o{}, claims{"auth_time": now + 31}, false},
		"auth_time 30 s ahead":         {o{}, claims{"auth_time": now + 30}, true},
		"auth_time a text":             {o{}, claims{"auth_time": "1"}, false},
		"as long as allowed":           {o{MaxLifetime: 300 * time.Second}, nil, true},
		"a second longer":              {o{MaxLifetime: 299 * time.Second}, nil, false},
		"MaxLifetime without iat":      {o{MaxLifetime: time.Hour}, claims{"iat": nil}, false},
		"no MaxLifetime, no iat":       {o{}, claims{"iat": nil}, true},
		"MaxLifetime, iat a text":      {o{MaxLifetime: time.Hour}, claims{"iat": "1800000000"}, false},
		"MaxLifetime, iat of 1970":     {o{MaxLifetime: time.Hour}, claims{"iat": 0}, false},
		"no exp":                       {o{}, claims{"exp": nil}, false},
		"exp null":                     {o{}, claims{"exp": jsonNull}, false},
		"exp a text":                   {o{}, claims{"exp": "1800000300"}, false},
		"nbf 31 s ahead":               {o{}, claims{"nbf": now + 31}, false},
	} {
		if accepted(c.opts, c.change) != c.ok {
			t.Errorf("%s", name)
		}
	}
	clock := time.Unix(now, 0)
	v := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Clock: func() time.Time { return clock }})
	token := foreign(t, ring, nil)
	for _, step := range []struct{ at, status int }{{0, 200}, {329, 200}, {330, 401}} { // from the cache too
		clock = time.Unix(now+int64(step.at), 0)
		if got := statusOf(v, token); got != step.status {
			t.Errorf("after %d s: %d", step.at, got)
		}
	}
}

// Only named algorithms are accepted.
func TestForeignAlgorithms(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA} {
		ring := ringOf(t, alg)
		v := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Algorithms: []jose.Algorithm{jose.ES256}})
		if got, want := statusOf(v, foreign(t, ring, nil)), map[bool]int{true: 200, false: 401}[alg == jose.ES256]; got != want {
			t.Errorf("%s: %d", alg, got)
		}
	}
}

// A first-party user stays one if the issuer's client claim is named as something else, and only
// then.
func TestNotClients(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	change := claims{"client_id": nil, "scope": nil, "azp": "/projects/1"}
	for _, list := range [][]string{nil, {"azp"}, {"cid"}} {
		v := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{FirstParty: true, NotClients: list})
		id, err := v.Authenticate(bearer(foreign(t, ring, change)))
		if named := slices.Contains(list, "azp"); (err == nil) != named || named && (id.Client != "" || id.Scopes != nil) {
			t.Errorf("%v: %+v, %v", list, id, err)
		}
	}
	for _, wrong := range [][]string{{"act"}, {"may_act"}, {"scope"}, {"scp"}, {"sub"}, {"client_id"}} { // client_id is in ClientClaims
		if _, err := jwt.NewVerifier(idp, audience, ring, &jwt.VerifierOptions{FirstParty: true, NotClients: wrong}); err == nil {
			t.Errorf("%v", wrong)
		}
	}
}
