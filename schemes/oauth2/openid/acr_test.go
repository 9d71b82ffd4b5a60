package openid_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const (
	oneFactor  = "urn:example:pwd"
	twoFactors = "urn:example:mfa"
)

func levels(o *oauthtest.Options) { o.ACRValues = []string{oneFactor, twoFactors} }

// logged is alice with a login of that class and these methods.
func logged(p *oauthtest.Provider, session, acr string, amr ...string) *authn.Identity {
	id := p.Alice(session)
	id.ACR, id.AMR = acr, amr
	return id
}

// The class, the methods and the time of the login are in everything that is issued for it, also
// after a refresh, and nothing raises them.
func TestLoginIsReported(t *testing.T) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprint("signed_", signed), func(t *testing.T) {
			oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
				p := oauthtest.NewProvider(t, s, jose.ES256, func(o *oauthtest.Options) { levels(o); o.SignedAccess = signed })
				alice := logged(p, "s1", twoFactors, "pwd", "otp")
				at := p.Clock()
				p.Pass(time.Minute)
				rec := p.Authorizes(alice, "GET", oauthtest.Query("app", "scope", "openid"), "")
				v := oauthtest.Sent(t, p.Authorizes(alice, "POST", "", "decision=allow&handle="+oauthtest.HandleOf(t, rec)), oauthtest.Redirect)
				got := p.Exchange("app", v.Get("code"))
				for range 2 {
					claims := p.ClaimsOf(oauthtest.IdTokenOf(got), "JWT")
					if claims["acr"] != twoFactors || fmt.Sprint(claims["amr"]) != "[pwd otp]" || claims["auth_time"] != float64(at.Unix()) {
						t.Errorf("ID token: %v", claims)
					}
					about := p.Post(p.Introspect(), "app", "token", got.Access)
					var said map[string]any
					oauthtest.Must(t, json.Unmarshal([]byte(about.Body), &said))
					if said["acr"] != twoFactors || fmt.Sprint(said["amr"]) != "[pwd otp]" || said["auth_time"] != float64(at.Unix()) {
						t.Errorf("introspection: %v", said)
					}
					id, err := p.Identity(got.Access)
					if err != nil || id.ACR != twoFactors || strings.Join(id.AMR, " ") != "pwd otp" || id.AuthTime.Unix() != at.Unix() {
						t.Errorf("identity: %+v, %v", id, err)
					}
					p.Pass(time.Minute)
					got = p.Refreshes("app", got.Refresh)
				}
			})
		})
	}
}

// next returns where the login page leads back to, and the classes that it was asked for.
func next(t *testing.T, rec *httptest.ResponseRecorder) (query, asked string) {
	t.Helper()
	to, err := url.Parse(rec.Header().Get("Location"))
	if err != nil || rec.Code != 303 || to.Path != "/login" {
		t.Fatalf("%d to %s", rec.Code, to)
	}
	back, err := url.Parse(to.Query().Get("next"))
	oauthtest.Must(t, err)
	return back.RawQuery, to.Query().Get("acr_values")
}

func TestRequestedClass(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, levels)
	weak, strong := logged(p, "s1", oneFactor, "pwd"), logged(p, "s2", twoFactors, "pwd", "otp")
	page := func(id *authn.Identity, acr string, pairs ...string) *httptest.ResponseRecorder {
		return p.Authorizes(id, "GET", oauthtest.Query("app", append([]string{"scope", "openid", "acr_values", acr}, pairs...)...), "")
	}
	for _, acr := range []string{twoFactors, "urn:other " + oneFactor, oneFactor, "urn:other", "", "\"bad\""} {
		oauthtest.HandleOf(t, page(strong, acr)) // met, also by a stronger class
	}
	for _, acr := range []string{oneFactor, twoFactors + " " + oneFactor, "urn:other"} {
		oauthtest.HandleOf(t, page(weak, acr))
	}
	for _, id := range []*authn.Identity{weak, logged(p, "s3", "", "pwd")} {
		back, asked := next(t, page(id, twoFactors))
		if asked != twoFactors {
			t.Errorf("the login page is asked for %q", asked)
		}
		// The user has no second factor: once is enough, and no class is claimed that was not reached.
		rec := p.Authorizes(id, "GET", back, "")
		v := oauthtest.Sent(t, p.Authorizes(id, "POST", "", "decision=allow&handle="+oauthtest.HandleOf(t, rec)), oauthtest.Redirect)
		claims := p.ClaimsOf(oauthtest.IdTokenOf(p.Exchange("app", v.Get("code"))), "JWT")
		if acr, ok := claims["acr"]; ok != (id.ACR != "") || ok && acr != id.ACR {
			t.Errorf("claims %v", claims)
		}
		// Or the user logged in with it.
		oauthtest.HandleOf(t, p.Authorizes(strong, "GET", back, ""))
	}
	if v := oauthtest.Sent(t, page(weak, twoFactors, "prompt", "none"), oauthtest.Redirect); v.Get("error") != "login_required" {
		t.Errorf("prompt=none: %v", v)
	}
}

func TestStrictClass(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) { levels(o); o.StrictACR = true })
	weak := logged(p, "s1", oneFactor, "pwd")
	for _, acr := range []string{twoFactors, "urn:other"} {
		back, _ := next(t, p.Authorizes(weak, "GET", oauthtest.Query("app", "scope", "openid", "acr_values", acr), ""))
		if v := oauthtest.Sent(t, p.Authorizes(weak, "GET", back, ""), oauthtest.Redirect); v.Get("error") != "unmet_authentication_requirements" || v.Get("code") != "" {
			t.Errorf("%s: %v", acr, v)
		}
	}
	oauthtest.HandleOf(t, p.Authorizes(weak, "GET", oauthtest.Query("app", "scope", "openid"), ""))
}

func TestClassesAreDiscovered(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, levels)
	rec := httptest.NewRecorder()
	p.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", oauthtest.Issuer+"/.well-known/openid-configuration", nil))
	var m struct {
		Classes []string `json:"acr_values_supported"`
		Claims  []string `json:"claims_supported"`
	}
	oauthtest.Must(t, json.Unmarshal(rec.Body.Bytes(), &m))
	if strings.Join(m.Classes, " ") != oneFactor+" "+twoFactors || !strings.Contains(strings.Join(m.Claims, " "), "acr amr") {
		t.Errorf("%+v", m)
	}
}
