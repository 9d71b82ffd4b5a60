package conformance

import (
	"cmp"
	"strings"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

func TestOIDFBasic(t *testing.T)       { runPlan(t, newOpenID(t)) }
func TestOIDFConfig(t *testing.T)      { runPlan(t, newOpenID(t)) }
func TestOIDFLogout(t *testing.T)      { runPlan(t, newOpenID(t)) }
func TestOIDFBackchannel(t *testing.T) { runPlan(t, newOpenID(t)) }
func TestOIDFFormPost(t *testing.T)    { runPlan(t, newOpenID(t)) }

// Each module fails on a server that breaks what the module is about.
func TestBrokenOIDFBasic(t *testing.T)    { runBroken(t, newOpenID(t)) }
func TestBrokenOIDFConfig(t *testing.T)   { runBroken(t, newOpenID(t)) }
func TestBrokenOIDFLogout(t *testing.T)   { runBroken(t, newOpenID(t)) }
func TestBrokenOIDFFormPost(t *testing.T) { runBroken(t, newOpenID(t)) }

// newOpenID returns a server with the clients of the plans of OpenID Connect.
func newOpenID(t *testing.T) *fixture {
	scopes := strings.Fields("openid profile email address phone")
	logouts := []string{"https://client.example/logged-out"}
	return newFixture(t, profile{signing: signingKey(), clients: []*client{
		{id: "one", method: oauth2.SecretBasic, redirects: []string{"https://client.example/one"}, logouts: logouts, scopes: scopes},
		{id: "two", method: oauth2.SecretBasic, redirects: []string{"https://client.example/two?dummy1=lorem&dummy2=ipsum"}, scopes: scopes},
		{id: "three", method: oauth2.SecretPost, redirects: []string{"https://client.example/three"}, scopes: scopes},
	}})
}

// signingKey is the key of the servers of OpenID Connect. It is made once, because that takes long.
var signingKey = sync.OnceValue(func() signer { return newRSA("signing", "RS256") })

// planOf returns the plan of a test, by the test's name without a prefix.
func planOf(t *testing.T, prefix string) plan {
	t.Helper()
	name := "Test" + strings.TrimPrefix(t.Name(), "Test"+prefix)
	for _, p := range plans() {
		if p.test == name {
			return p
		}
	}
	t.Fatalf("no plan of %s", name)
	return plan{}
}

// runPlan runs the modules of the plan of a test. A module that the table calls met passes without
// a warning; the others have the result that the table names, so that the table cannot be out of
// date.
func runPlan(t *testing.T, f *fixture) {
	p := planOf(t, "")
	for _, r := range p.rows {
		t.Run(r.module, func(t *testing.T) {
			switch {
			case r.check != nil:
				r.expect(t, f.examine(r.check, p.formPost))
			case r.missing == "":
				t.Fatal("the row has no module, and says nothing about what the server lacks")
			}
		})
	}
}

// expect fails unless the result of a module on the true server is the one of its row.
func (r row) expect(t *testing.T, got *report) {
	t.Helper()
	switch want := cmp.Or(r.want, passed); {
	case r.missing != "" && got.outcome() == passed:
		t.Error("the module passes now: remove what its row says to be missing")
	case r.missing == "" && got.outcome() != want:
		t.Errorf("want %s: %v", want, got)
	}
}

// runBroken runs each module on the broken servers of its row, and then on the true one: what it
// found was about the mutation, and not about something that an earlier run left behind.
func runBroken(t *testing.T, f *fixture) {
	p := planOf(t, "Broken")
	for _, r := range p.rows {
		t.Run(r.module, func(t *testing.T) {
			if r.check == nil {
				return
			}
			if len(r.broken) == 0 {
				t.Fatal("no broken server")
			}
			for _, m := range r.broken {
				h := m.wrap(f, f.server)
				f.broken.Store(&h)
				got := f.examine(r.check, p.formPost)
				f.broken.Store(nil)
				if !r.worse(got) {
					t.Errorf("%s: the module does not notice: %v", m.what, got)
				}
				t.Logf("%s: %v", m.what, got)
			}
			r.expect(t, f.examine(r.check, p.formPost))
		})
	}
}

// worse reports whether a module found more than on the true server.
func (r row) worse(got *report) bool {
	if r.want == warning || r.missing != "" {
		return got.outcome() == failed
	}
	return len(got.failures)+len(got.warnings) > 0
}
