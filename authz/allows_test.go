package authz

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

type decider struct {
	d   Decision
	err error
}

func (p decider) Decide(Access) (Decision, error) { return p.d, p.err }

// allows reports true only if eval allows, for every permission, and eval decides the same for a
// shared identity.
func TestAllowsIsEval(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	leaves := []func() Permission{
		func() Permission { return AllowAny },
		func() Permission { return IsAuthenticated },
		func() Permission { return ReadOnly },
		func() Permission { return IsAuthenticatedOrReadOnly },
		func() Permission { return HasScope(pick("a", "b")) },
		func() Permission { return HasScope("a", "b") },
		func() Permission { return HasRole(pick("admin", "staff")) },
		func() Permission { return HasPerm("notes.add") },
		func() Permission { return ViaScheme("knox") },
		func() Permission { return If(func(id authn.Identity) bool { return id.Client == "" }) },
		func() Permission { return On(func(authn.Identity, int) bool { return true }) },
		func() Permission { return decider{d: Allow} },
		func() Permission { return decider{d: Unknown} },
		func() Permission { return decider{d: 7} },
		func() Permission { return decider{err: errors.New("a fault")} },
		func() Permission { return decider{d: Allow, err: errors.New("a fault")} },
		func() Permission { return decider{err: authn.PermissionDenied("")} },
	}
	var any func(depth int) Permission
	any = func(depth int) Permission {
		if depth == 0 {
			return leaves[rnd.IntN(len(leaves))]()
		}
		some := func() (ps []Permission) {
			for range 1 + rnd.IntN(3) {
				ps = append(ps, any(rnd.IntN(depth)))
			}
			return ps
		}
		switch rnd.IntN(6) {
		case 0, 1:
			return And(some()...)
		case 2:
			return Or(some()...)
		case 3:
			return Not(any(depth - 1))
		case 4:
			return ByMethod(map[string]Permission{"GET": any(depth - 1), "POST": any(depth - 1)})
		}
		return ScopeGrants(pick("a", "b"), any(depth-1))
	}
	identities := []authn.Identity{
		{}, {Subject: "alice", Scheme: "knox"}, {Subject: "alice", Scheme: "token", Roles: []string{"admin"}},
		{Subject: "alice", Scopes: []string{}}, {Subject: "alice", Client: "c", Scopes: []string{"a"}, Roles: []string{"staff"}},
		{Client: "c", Scopes: []string{"a", "b"}}, {Client: "c"},
	}
	allowed := 0
	for range 4000 {
		p, id := any(rnd.IntN(4)), identities[rnd.IntN(len(identities))]
		r := httptest.NewRequest(pick("GET", "HEAD", "OPTIONS", "POST", "DELETE", "get"), "/", nil)
		long := eval(p, &Access{Request: r, Identity: id})
		if allows(p, r, &id) {
			allowed++
			if long.d != Allow || long.fault != nil || long.reason != nil {
				t.Fatalf("%s of %+v, %s: allowed at a glance, and then %+v", name(p), id, r.Method, long)
			}
		}
		for _, g := range []Guard{Require(p), Require(p).Hide(any(1)), Require(p, IsAuthenticated)} {
			want := eval(g.p, &Access{Request: r, Identity: id})
			shared := through(t, r, id, g)
			own, err := g.decide(r.WithContext(authn.WithIdentity(r.Context(), id)))
			if shared != own || own != want.d || (err != nil) != (want.fault != nil || want.d == Deny) {
				t.Fatalf("%s of %+v, %s: shared %v, own %v and %v, want %+v", g, id, r.Method, shared, own, err, want)
			}
		}
	}
	if allowed < 200 {
		t.Errorf("%d were allowed at a glance", allowed)
	}
}

// keeper authenticates every request with one identity, which the middleware keeps.
type keeper struct{ id authn.Identity }

func (k *keeper) Headers() []string                      { return []string{"Authorization"} }
func (k *keeper) Presented(*http.Request) (string, bool) { return "x", false }
func (k *keeper) Authenticate(*http.Request) (authn.Identity, error) {
	return k.id.Kept(k, authn.Keep{Lease: forever{}}), nil
}

type forever struct{}

func (forever) Valid(context.Context) bool { return true }

// through returns the decision of a guard behind a middleware that keeps the identity.
func through(t *testing.T, r *http.Request, id authn.Identity, g Guard) (d Decision) {
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d, _ = g.decide(r)
	})
	if !id.Authenticated() {
		next(nil, r)
		return d
	}
	if id.Scheme == "" {
		id.Scheme = "x"
	}
	if id.Client != "" && id.Scopes == nil {
		id.Scopes = []string{}
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "x")
	var seen []*authn.Identity
	h := authn.New(&keeper{id}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, authn.Peek(r.Context()))
		next(w, r)
	}))
	for range 2 {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if seen[0] == nil || seen[0] != seen[1] {
		t.Error("not kept")
	}
	return d
}
