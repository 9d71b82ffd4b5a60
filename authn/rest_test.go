package authn_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// claiming declares formats and accepts nothing.
type claiming struct{ name, keyword, shape string }

func (c *claiming) Authenticate(*http.Request) (authn.Identity, error) {
	return authn.Identity{}, authn.ErrNoCredentials
}
func (c *claiming) Name() string { return c.name }
func (c *claiming) Formats() []authn.CredentialFormat {
	return []authn.CredentialFormat{{Keyword: c.keyword, Format: c.shape}}
}

// A scheme with AnyFormat must come after the other schemes of its keyword.
func TestRestStandsBehind(t *testing.T) {
	rest, other := &claiming{"rest", "Bearer", authn.AnyFormat}, &claiming{"rest2", "bearer", authn.AnyFormat}
	prefix, all, token := &claiming{"prefix", "BEARER", "vat_"}, &claiming{"all", "Bearer", ""}, &claiming{"token", "Token", "vst_"}
	for what, c := range map[string]struct {
		chain authn.Chain
		want  string
	}{
		"behind":             {authn.Chain{prefix, rest}, ""},
		"before":             {authn.Chain{rest, prefix}, "put it after"},
		"before, nested":     {authn.Chain{authn.Chain{rest}, authn.Chain{token, prefix}}, "put it after"},
		"two":                {authn.Chain{rest, other}, "both accept"},
		"with all":           {authn.Chain{all, rest}, "both accept"},
		"another keyword":    {authn.Chain{rest, token}, ""},
		"rest of Token, too": {authn.Chain{token, prefix, rest, &claiming{"r", "Token", authn.AnyFormat}}, ""},
	} {
		err := authn.Check(c.chain)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}
