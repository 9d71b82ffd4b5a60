package openid_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func emailClaims(context.Context, storage.User, []string) (map[string]any, error) {
	return map[string]any{"email": "a@example.org", "name": "Alice", "groups": []string{"dev"}, "Sub": "evil", "ISS": "evil", "acr": "9"}, nil
}

// P28, P25: claims about the user are in UserInfo, and in the ID token only if the option names
// them. Reserved names win in any case of letters.
func TestPlaceOfClaims_P28(t *testing.T) {
	for _, names := range [][]string{nil, {"groups", "sub", "Sub", "iss"}} {
		p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) { o.OpenID.Claims, o.OpenID.InIDToken = emailClaims, names })
		got, id := p.Login("s")
		claims := p.ClaimsOf(id, "JWT")
		_, groups := claims["groups"]
		if claims["email"] != nil || claims["name"] != nil || groups != (names != nil) || claims["sub"] != "id-alice" || claims["iss"] != oauthtest.Issuer || claims["Sub"] != nil || claims["acr"] != nil {
			t.Errorf("%v: %v", names, claims)
		}
		info := p.UserInfoOf("GET", "Bearer "+got.Access).Body.String()
		for _, want := range []string{`"email":"a@example.org"`, `"name":"Alice"`, `"groups":["dev"]`, `"sub":"id-alice"`} {
			if !strings.Contains(info, want) {
				t.Errorf("%v: without %s: %s", names, want, info)
			}
		}
	}
}

// P29, P30: UserInfo reads a bearer token from a form, and from nowhere else.
func TestUserInfoByForm_P29(t *testing.T) {
	p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, oauthtest.WithDPoP)
	got, _ := p.Login("s")
	send := func(method, query, kind, authorization, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, oauthtest.Issuer+"/oauth2/userinfo"+query, strings.NewReader(body))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		rec := httptest.NewRecorder()
		p.UserInfo().ServeHTTP(rec, r)
		return rec
	}
	const form = "application/x-www-form-urlencoded"
	token := "access_token=" + got.Access
	if rec := send("POST", "", form, "", token); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"sub":"id-alice"`) {
		t.Errorf("P29: %d %s", rec.Code, rec.Body)
	}
	if rec := send("POST", "", form, "Bearer "+got.Access, ""); rec.Code != 200 {
		t.Errorf("the header with an empty form: %d %s", rec.Code, rec.Body)
	}
	prover := p.NewProver()
	bound := prover.Exchange("app", p.Code("app", func(c *storage.Code) { c.Scopes = []string{"openid"} }))
	if bound.Type != "DPoP" {
		t.Fatalf("%s", bound.Body)
	}
	for what, x := range map[string]struct {
		rec  *httptest.ResponseRecorder
		want int
	}{
		"GET":             {send("GET", "", form, "", token), 401},
		"query":           {send("GET", "?"+token, "", "", ""), 400},
		"query of a POST": {send("POST", "?"+token, form, "", ""), 400},
		"form and query":  {send("POST", "?x=1", form, "", token), 400},
		"form and header": {send("POST", "", form, "Bearer "+got.Access, token), 400},
		"JSON":            {send("POST", "", "application/json", "", `{"access_token":"`+got.Access+`"}`), 401},
		"twice":           {send("POST", "", form, "", token+"&"+token), 400},
		"bound":           {send("POST", "", form, "", "access_token="+bound.Access), 401},
		"two words":       {send("POST", "", form, "", "access_token=a+b"), 400},
		"wrong":           {send("POST", "", form, "", "access_token="+oauthtest.Changed(got.Access)), 401},
	} {
		if x.rec.Code != x.want {
			t.Errorf("P30 %s: %d %s", what, x.rec.Code, x.rec.Body)
		}
	}
}
