package authn_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// says is a scheme with fixed challenges for missing and for rejected credentials.
func says(name, challenge string) *scheme {
	return &scheme{name: name, err: authn.ErrNoCredentials, challenge: challenge}
}

const metadata = `resource_metadata="https://api.example/.well-known/oauth-protected-resource/mcp"`

func TestChallengesAreMerged(t *testing.T) {
	for name, x := range map[string]struct {
		challenges []string
		want       []string
	}{
		"one":                        {[]string{"Bearer"}, []string{"Bearer"}},
		"bare ones":                  {[]string{"Bearer", "Token", "bearer"}, []string{"Bearer", "Token"}},
		"first":                      {[]string{`Session realm="api"`, `Basic realm="x"`, "Knox", "Bearer"}, []string{"Bearer", `Session realm="api"`, `Basic realm="x"`, "Knox"}},
		"a bare one in front":        {[]string{"Bearer", "Bearer " + metadata}, []string{"Bearer " + metadata}},
		"each once":                  {[]string{`Bearer realm="a"`, `Bearer realm="b", ` + metadata, "Bearer " + metadata}, []string{`Bearer realm="a", ` + metadata}},
		"another spelling of a name": {[]string{`Bearer Realm="a"`, `Bearer REALM="b"`}, []string{`Bearer realm="a"`}},
		"quoted":                     {[]string{`Bearer realm=api , scope = x`}, []string{`Bearer realm="api", scope="x"`}},
		"escapes":                    {[]string{`Bearer realm="a\"b\\c"`}, []string{`Bearer realm="a\"b\\c"`}},
		"a comma in a value":         {[]string{`Bearer realm="a, Basic b"`, "Token"}, []string{`Bearer realm="a, Basic b"`, "Token"}},
		"no error of nobody":         {[]string{`Bearer error="invalid_token", error_description="x", error_uri="y", scope="s"`}, []string{`Bearer scope="s"`}},
		"two in one line":            {[]string{`Bearer, DPoP algs="ES256 EdDSA"`, "Token"}, []string{"Bearer", `DPoP algs="ES256 EdDSA"`, "Token"}},
		"three in one line":          {[]string{`Negotiate YWI=, Bearer realm="x", scope="y", Basic realm="z"`}, []string{`Bearer realm="x", scope="y"`, "Negotiate YWI=", `Basic realm="z"`}},
		"a fixed order":              {[]string{`Bearer x="1", scope="s", ` + metadata + `, realm="r"`}, []string{`Bearer realm="r", ` + metadata + `, scope="s", x="1"`}},
		"not one challenge":          {[]string{`Bearer realm="a`, "Bearer " + metadata, "Token"}, []string{"Bearer " + metadata, "Token", `Bearer realm="a`}},
		"a parameter twice":          {[]string{`Bearer realm="a", realm="b"`, "Bearer"}, []string{"Bearer", `Bearer realm="a", realm="b"`}},
		"an equals sign without":     {[]string{`Bearer =`, "Token"}, []string{"Token", "Bearer ="}},
		"token68 under Bearer":       {[]string{"Bearer abc=", "Bearer"}, []string{"Bearer", "Bearer abc="}},
		"equal ones":                 {[]string{"Token", "Token", `X a="1"`, `X a="1"`}, []string{"Token", `X a="1"`}},
		"empty list members":         {[]string{`, Bearer ,, Token ,`}, []string{"Bearer", "Token"}},
		"none":                       {[]string{"", ""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var chain authn.Chain
			for i, c := range x.challenges {
				chain = append(chain, says(string(rune('a'+i)), c))
			}
			got := ask(authn.New(chain, &authn.Options{Logger: quiet}).Handler(closed), "GET", "/").Header()["Www-Authenticate"]
			if !slices.Equal(got, x.want) {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
}

// A response to rejected credentials has only the challenge of the scheme that rejected them.
func TestRefusalsAreTheSchemesOwn(t *testing.T) {
	refused := &scheme{name: "b", err: authn.AuthenticationFailed("No."), challenge: "Bearer"}
	chain := authn.Chain{says("a", `Bearer `+metadata), refused, says("c", "Token")}
	if got := ask(authn.New(chain, &authn.Options{Logger: quiet}).Handler(closed), "GET", "/").Header()["Www-Authenticate"]; !slices.Equal(got, []string{`Bearer error="refused"`}) {
		t.Errorf("%q", got)
	}
}

// A chain serves only one resource.
func TestTwoResourceMetadata(t *testing.T) {
	other := strings.Replace(metadata, "/mcp", "/other", 1)
	chain := authn.Chain{says("a", "Bearer "+metadata), authn.Chain{says("b", "Bearer scope=x, "+other)}}
	if err := authn.Check(chain); err == nil || !strings.Contains(err.Error(), `"a" and "b"`) {
		t.Errorf("%v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("New takes it")
			}
		}()
		authn.New(chain, nil)
	}()
	for _, good := range []authn.Chain{{says("a", "Bearer "+metadata), says("b", "Bearer "+metadata)}, {says("a", "Bearer "+metadata), says("b", "X "+other)}, {says("a", "Bearer "+metadata), needy{}}} {
		if err := authn.Check(good); err != nil {
			t.Error(err)
		}
	}
}

// needy panics for a request that does not come from a server.
type needy struct{}

func (needy) Authenticate(*http.Request) (authn.Identity, error) {
	return authn.Identity{}, authn.ErrNoCredentials
}
func (needy) Challenge(r *http.Request, _ error) string { return "X " + r.TLS.ServerName }

// bearerScheme is an application's scheme for scoped tokens, and keyScheme one for keys in a
// header.
type bearerScheme struct {
	scheme
	c authn.BearerChallenge
}

func (b *bearerScheme) Challenge(_ *http.Request, err error) string { return b.c.For(err) }

type keyScheme struct{ challenge string }

func (keyScheme) Name() string { return "apikey" }
func (k keyScheme) Challenge(*http.Request, error) string {
	return k.challenge
}
func (keyScheme) Authenticate(r *http.Request) (authn.Identity, error) {
	if r.Header.Get("X-Api-Key") == "" {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	return authn.Identity{Subject: "1", Scopes: strings.Fields(r.Header.Get("X-Api-Key"))}, nil
}

// The challenge for a missing scope comes from the scheme that accepted the credentials, and
// contains all scopes of the route.
func TestScopesInChallenges(t *testing.T) {
	accepted := func(c authn.BearerChallenge, scopes ...string) *bearerScheme {
		return &bearerScheme{scheme{name: "oauth2", id: authn.Identity{Subject: "1", Client: "app", Scopes: append([]string{}, scopes...)}}, c}
	}
	absent := &bearerScheme{scheme{name: "oauth2", err: authn.ErrNoCredentials}, authn.BearerChallenge{ResourceMetadata: "https://api.example/m"}}
	invalid := &bearerScheme{scheme{name: "oauth2", err: authn.AuthenticationFailed("No.")}, authn.BearerChallenge{Realm: "api", ResourceMetadata: "https://api.example/m", Invalid: "authentication_failed"}}
	read, write := authz.HasScope("read"), authz.HasScope("write", "read")
	anyObject := authz.On(func(authn.Identity, string) bool { return true })
	readWrite := authz.Or(authz.And(authz.ReadOnly, read), authz.And(authz.Not(authz.ReadOnly), write))
	for name, x := range map[string]struct {
		chain  authn.Authenticator
		p      []authz.Permission
		method string
		header string
		code   int
		want   []string
	}{
		"edge_A22/a key without a challenge":   {keyScheme{}, []authz.Permission{read}, "GET", "X-Api-Key: x", 403, nil},
		"edge_A22/a key with its own":          {authn.Chain{absent, keyScheme{`ApiKey realm="x"`}}, []authz.Permission{read}, "GET", "X-Api-Key: x", 403, []string{`ApiKey realm="x"`}},
		"edge_A22/nobody":                      {authn.Chain{keyScheme{"ApiKey"}, absent}, []authz.Permission{read}, "GET", "", 401, []string{`Bearer resource_metadata="https://api.example/m", scope="read"`, "ApiKey"}},
		"edge_A22/a bearer":                    {accepted(authn.BearerChallenge{}), []authz.Permission{read}, "GET", "", 403, []string{`Bearer error="insufficient_scope", scope="read"`}},
		"edge_A22/a bearer with a document":    {accepted(authn.BearerChallenge{Realm: "api", ResourceMetadata: "https://api.example/m"}), []authz.Permission{read}, "GET", "", 403, []string{`Bearer realm="api", error="insufficient_scope", scope="read", resource_metadata="https://api.example/m"`}},
		"edge_A22/all that And needs":          {accepted(authn.BearerChallenge{}, "read"), []authz.Permission{authz.IsAuthenticated, read, authz.HasScope("c", "a"), write}, "GET", "", 403, []string{`Bearer error="insufficient_scope", scope="read c a write"`}},
		"edge_A22/Or: the last that failed":    {accepted(authn.BearerChallenge{}), []authz.Permission{authz.Or(read, authz.HasScope("x", "y"))}, "GET", "", 403, []string{`Bearer error="insufficient_scope", scope="x y"`}},
		"edge_A22/And of Or that is held":      {accepted(authn.BearerChallenge{}, "a"), []authz.Permission{authz.Or(authz.HasScope("a"), authz.HasScope("b")), read}, "GET", "", 403, []string{`Bearer error="insufficient_scope", scope="a read"`}},
		"edge_A22/by method":                   {accepted(authn.BearerChallenge{}), []authz.Permission{authz.ByMethod(map[string]authz.Permission{"GET": read, "POST": write})}, "POST", "", 403, []string{`Bearer error="insufficient_scope", scope="write read"`}},
		"edge_A22/the alternative of a method": {accepted(authn.BearerChallenge{}), []authz.Permission{readWrite}, "GET", "", 403, []string{`Bearer error="insufficient_scope", scope="read"`}},
		"edge_A22/nobody, by method":           {absent, []authz.Permission{readWrite}, "GET", "", 401, []string{`Bearer resource_metadata="https://api.example/m", scope="read"`}},
		"edge_A22/nobody, of the other method": {absent, []authz.Permission{readWrite}, "DELETE", "", 401, []string{`Bearer resource_metadata="https://api.example/m", scope="write read"`}},
		"edge_A22/no scope on the route":       {absent, []authz.Permission{authz.IsAuthenticated}, "GET", "", 401, []string{`Bearer resource_metadata="https://api.example/m"`}},
		"edge_A22/a bad token":                 {invalid, []authz.Permission{read}, "GET", "", 401, []string{`Bearer realm="api", error="invalid_token", resource_metadata="https://api.example/m", scope="read"`}},
		"edge_A22/a bad token, open route":     {invalid, []authz.Permission{authz.AllowAny}, "GET", "", 401, []string{`Bearer realm="api", error="invalid_token", resource_metadata="https://api.example/m"`}},
		"edge_A22/another reason":              {accepted(authn.BearerChallenge{}, "read"), []authz.Permission{read, authz.IsAdmin}, "GET", "", 403, nil},
		"edge_A22/under Not":                   {accepted(authn.BearerChallenge{}, "read"), []authz.Permission{authz.Not(read)}, "GET", "", 403, nil},
		"edge_A22/an object to come":           {accepted(authn.BearerChallenge{}), []authz.Permission{read, anyObject}, "GET", "", 403, []string{`Bearer error="insufficient_scope", scope="read"`}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, two := range []bool{false, true} { // a second answer is the same: a client takes an equal one as final
				var headers []string
				if x.header != "" {
					headers = []string{x.header}
				}
				m := authz.NewMux(authn.New(x.chain, &authn.Options{Logger: quiet}))
				m.HandleFunc("/", who, x.p...)
				got := ask(m, x.method, "/", headers...)
				if got.Code != x.code || !slices.Equal(got.Header()["Www-Authenticate"], x.want) {
					t.Errorf("%t: %d %q, want %d %q", two, got.Code, got.Header()["Www-Authenticate"], x.code, x.want)
				}
			}
		})
	}
}

// Browsers are not made to open their password dialog, and neither is a rejected login.
func TestNoBasicForScripts(t *testing.T) {
	basic := says("basic", `Basic realm="api", charset="UTF-8"`)
	refuses := &scheme{name: "basic", err: authn.AuthenticationFailed("No."), challenge: `Basic realm="api"`}
	answer := func(err error) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, err) })
	}
	nonce := authn.AuthenticationFailed("")
	nonce.Header = http.Header{"Www-Authenticate": {`Basic realm="x"`, "Token"}}
	for name, x := range map[string]struct {
		chain  authn.Authenticator
		h      http.Handler
		always bool // not for scripts alone
		want   []string
	}{
		"edge_B13/Basic alone":                   {basic, closed, false, nil},
		"edge_B13/a refused password":            {refuses, closed, false, nil},
		"edge_B13/with others":                   {authn.Chain{says("t", "Token"), basic}, closed, false, []string{"Token"}},
		"edge_B13/in one line":                   {says("x", `Token, basic realm="x"`), closed, false, []string{"Token"}},
		"edge_B13/in a line that does not parse": {authn.Chain{says("x", `Token, BASIC realm="x`), says("t", "Token")}, closed, false, []string{"Token"}},
		"edge_B13/written by a handler":          {says("t", "Token"), answer(authn.AuthenticationFailed("").WithChallenge(`Basic realm="x"`)), false, nil},
		"edge_B13/in a header of the error":      {says("t", "X"), answer(nonce), false, []string{"Token"}},
		"edge_B13/a hand-written login":          {authn.Chain{says("t", "Token"), basic}, answer(authn.InvalidLogin()), true, []string{"Token"}},
		"edge_B13/a login of a Basic chain":      {basic, answer(authn.InvalidLogin().WithCause(errors.New("x"))), true, nil},
		"edge_B13/a login with a challenge":      {basic, answer(authn.InvalidLogin().WithChallenge(`Basic realm="x"`)), true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, policy := range []authn.ChallengePolicy{authn.EveryChallenge, authn.FirstChallenge} {
				m := authn.New(x.chain, &authn.Options{Logger: quiet, Challenges: policy})
				for _, header := range []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: empty", "Sec-Fetch-User: ?1", "Sec-Fetch-Storage-Access: none", "X-Requested-With: XMLHttpRequest", "X-Requested-With: ", ""} {
					for _, handler := range []http.Handler{m.Handler(x.h), m.Public(x.h)} {
						var headers []string
						if header != "" {
							headers = []string{header}
						}
						got := ask(handler, "GET", "/", headers...)
						lines := got.Header()["Www-Authenticate"]
						basics := slices.ContainsFunc(lines, func(s string) bool { return strings.Contains(strings.ToLower(s), "basic") })
						if basics && (header != "" || x.always) {
							t.Errorf("%q: %d %q", header, got.Code, lines)
						}
						if header != "" && policy == authn.EveryChallenge && !slices.Equal(lines, x.want) {
							t.Errorf("%q: %d %q, want %q", header, got.Code, lines, x.want)
						}
						if got.Code == 401 && len(lines) == 0 {
							t.Errorf("%q: 401 without a challenge", header)
						}
						if header == "" && !x.always && !basics && policy == authn.EveryChallenge {
							t.Errorf("a program gets no Basic challenge: %q", lines)
						}
					}
				}
			}
		})
	}
}
