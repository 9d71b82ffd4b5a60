package authn_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// readsNothing is a scheme that declares that it reads no header.
type readsNothing struct{ authn.Authenticator }

func (readsNothing) Headers() []string { return []string{} }

// reads is a scheme with headers of its own.
type reads struct {
	authn.Authenticator
	headers []string
}

func (s reads) Headers() []string { return s.headers }

// unwraps is a decorator that names what it decorates.
type unwraps struct{ authn.Authenticator }

func (u unwraps) Unwrap() authn.Authenticator { return u.Authenticator }

// A handler after a chain that reads cookies has "Vary: Cookie", exactly once.
func TestVaryCookie(t *testing.T) {
	for what, c := range map[string]struct {
		chain        authn.Chain
		before, want []string
	}{
		"no headers":           {authn.Chain{readsNothing{silentAbsent}}, nil, nil},
		"attack_309":           {authn.Chain{silentAbsent}, nil, []string{"*"}},
		"attack_309/beside":    {authn.Chain{cookies{"sid"}, silentAbsent}, []string{"Accept"}, []string{"Accept", "*"}},
		"attack_346":           {authn.Chain{reads{silentAbsent, []string{"X-Api-Key"}}}, nil, []string{"X-Api-Key"}},
		"attack_346/beside":    {authn.Chain{reads{silentAbsent, []string{"X-Api-Key", "Authorization"}}, cookies{"sid"}, reads{silentAbsent, []string{"X-Remote-User", "X-Api-Key"}}}, nil, []string{"Cookie", "Authorization", "X-Api-Key", "X-Remote-User"}},
		"attack_346/decorated": {authn.Chain{unwraps{reads{silentAbsent, []string{"X-Api-Key"}}}}, []string{"x-api-key"}, []string{"x-api-key"}},
		"decorated":            {authn.Chain{unwraps{cookies{"sid"}}}, nil, []string{"Cookie"}},
		"cookies":              {authn.Chain{cookies{"sid"}}, nil, []string{"Cookie"}},
		"something else":       {authn.Chain{cookies{"sid"}}, []string{"Accept"}, []string{"Accept", "Cookie"}},
		"there already":        {authn.Chain{cookies{"sid"}}, []string{"Accept, cookie"}, []string{"Accept, cookie"}},
		"varies with all":      {authn.Chain{cookies{"sid"}}, []string{"*"}, []string{"*"}},
		"a name that holds":    {authn.Chain{cookies{"sid"}}, []string{"X-Cookie"}, []string{"X-Cookie", "Cookie"}},
	} {
		t.Run(what, func(t *testing.T) {
			h := authn.New(c.chain, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Add("Vary", "Handler") // which no other answer sees
			}))
			for range 2 {
				w := httptest.NewRecorder()
				w.Header()["Vary"] = slices.Clone(c.before)
				if c.before == nil {
					w.Header().Del("Vary")
				}
				h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if got := w.Header()["Vary"]; !slices.Equal(got, append(slices.Clone(c.want), "Handler")) {
					t.Errorf("%q, want %q", got, c.want)
				}
			}
		})
	}
}
