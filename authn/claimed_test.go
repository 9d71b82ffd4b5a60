package authn

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// prefixed accepts credentials with a prefix, like the schemes of this module. It rejects a text
// that ends with "!", and returns an error for one that ends with "?".
type prefixed struct {
	name, prefix string
	keywords     []string
	begins       bool // it says in its claims how its credentials begin
	asked        *[]string
}

func (p prefixed) Name() string      { return p.name }
func (p prefixed) Headers() []string { return []string{"Authorization"} }
func (p prefixed) Formats() []CredentialFormat {
	var all []CredentialFormat
	for _, k := range p.keywords {
		c := CredentialFormat{Keyword: k, Format: p.prefix}
		if p.begins {
			c.Prefix = p.prefix
		}
		all = append(all, c)
	}
	return all
}

func (p prefixed) Authenticate(r *http.Request) (Identity, error) {
	*p.asked = append(*p.asked, p.name)
	for _, k := range p.keywords {
		text, err := Credentials(r, k, "token")
		switch {
		case err == ErrNoCredentials:
			continue
		case err != nil:
			return Identity{}, err
		case !strings.HasPrefix(text, p.prefix):
			return Identity{}, Unrecognized(AuthenticationFailed("not of " + p.name))
		case strings.HasSuffix(text, "!"):
			return Identity{}, AuthenticationFailed("refused by " + p.name)
		case strings.HasSuffix(text, "?"):
			return Identity{}, errors.New("fault of " + p.name)
		}
		return Identity{Subject: text, Scheme: p.name}, nil
	}
	return Identity{}, ErrNoCredentials
}

// byCookie is an ambient scheme.
type byCookie struct{}

func (byCookie) Name() string      { return "cookie" }
func (byCookie) Headers() []string { return []string{"Cookie"} }
func (byCookie) Authenticate(*http.Request) (Identity, error) {
	return Identity{Subject: "visitor", Scheme: "cookie"}, nil
}

// FuzzClaims checks that a chain has the same result whether or not its schemes declare the
// prefixes of their credentials.
func FuzzClaims(f *testing.F) {
	for _, line := range []string{"Token a_1", "token b_1", "Bearer e.y.J", "Bearer a_1", "Token x", "Bearer", "Token ", "Basic eDp5", "Other a_1", "Token a_1!", "Token b_1?", "Bearer e", " Token a_1", "Token a_1 b", "Bearer  a_1", "Tokena_1", "Token\ta_1", ""} {
		f.Add(line, true)
		f.Add(line, false)
	}
	f.Fuzz(func(t *testing.T, line string, cookie bool) {
		decide := func(begins bool) (string, []string) {
			var asked []string
			at := func(name, prefix string, keywords ...string) Authenticator {
				return prefixed{name, prefix, keywords, begins, &asked}
			}
			m := New(Chain{byCookie{}, at("j1", "e", "Bearer"), at("a", "a_", "Token", "Bearer"), prefixed{"plain", "p_", []string{"Plain"}, false, &asked}, at("b", "b_", "Token")}, nil)
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Authorization"] = []string{line}
			if cookie {
				r.Header.Set("Cookie", "x=y")
			}
			var id found
			_, err := m.plan.authenticate(r, nil, &id)
			return fmt.Sprint(id.handOut().Subject, id.handOut().Scheme, err), asked
		}
		want, all := decide(false)
		got, some := decide(true)
		if got != want {
			t.Errorf("%q: %s, without the claims' help %s", line, got, want)
		}
		if len(some) > len(all) {
			t.Errorf("%q: %v are asked, without help %v", line, some, all)
		}
	})
}

// Of the schemes that declare formats, only the one whose format matches is called.
func TestClaimsSpareOthers(t *testing.T) {
	var asked []string
	at := func(name, prefix string, keywords ...string) Authenticator {
		return prefixed{name, prefix, keywords, true, &asked}
	}
	p := New(Chain{at("j", "e", "Bearer"), at("j2", "ey", "X"), at("a", "a_", "Token", "Bearer"), at("b", "b_", "Token")}, nil).plan
	for line, want := range map[string]string{"Token b_1": "[b]", "Bearer a_1": "[a]", "Bearer e1": "[j]", "Token c_1": "[j j2 a b]", "Basic x": "[]"} {
		asked = nil
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", line)
		_, _ = p.authenticate(r, nil, new(found))
		if got := fmt.Sprint(asked); got != want {
			t.Errorf("%s: %s were asked, want %s", line, got, want)
		}
	}
}
