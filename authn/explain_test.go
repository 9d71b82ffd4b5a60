package authn_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// Explain returns the result of each scheme and the identity, and writes no response.
func TestExplain(t *testing.T) {
	down := errors.New("the store is down")
	by := func(keyword string, err error) authn.Func {
		return func(r *http.Request) (authn.Identity, error) {
			if authn.Keyword(r) != keyword {
				return authn.Identity{}, authn.ErrNoCredentials
			}
			return authn.Identity{Subject: "1"}, err
		}
	}
	observed := 0
	m := authn.New(authn.Chain{by("A", nil), by("B", authn.AuthenticationFailed("no")), by("C", down)}, &authn.Options{
		Observe: func(*http.Request, authn.Event) { observed++ },
	})
	for _, c := range []struct {
		header string
		want   []authn.Outcome
		status int
		err    error
	}{
		{"", []authn.Outcome{authn.Absent, authn.Absent, authn.Absent}, 0, nil},
		{"A x", []authn.Outcome{authn.Accepted}, 0, nil},
		{"B x", []authn.Outcome{authn.Absent, authn.Refused}, 401, nil},
		{"C x", []authn.Outcome{authn.Absent, authn.Absent, authn.Fault}, 0, down},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		id, steps, err := m.Explain(r)
		var got []authn.Outcome
		for _, s := range steps {
			got = append(got, s.Outcome)
		}
		var refused *authn.Error
		errors.As(err, &refused)
		if !slices.Equal(got, c.want) || (id.Subject == "1") != (c.header == "A x") || (refused != nil) != (c.status != 0) || c.err != nil && !errors.Is(err, c.err) || c.err == nil && c.status == 0 && err != nil {
			t.Errorf("%q: %v, %+v, %v", c.header, got, id, err)
		}
	}
	if observed != 0 {
		t.Errorf("observed %d times", observed)
	}
}
