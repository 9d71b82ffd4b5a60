package consent_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// twoSchemes is a site with two session schemes, each over a store of its own, whose accounts have the
// same ID. The authorization server has the accounts and the sessions of the staff.
type twoSchemes struct {
	http.Handler
	customers, staff *session.Scheme
}

func newTwoSchemes(t *testing.T) twoSchemes {
	site, err := csrf.New(oauthtest.Issuer, nil)
	oauthtest.Must(t, err)
	shop, office := memory.New(nil), memory.New(nil)
	oauthtest.Must(t, shop.CreateUser(t.Context(), storage.User{ID: "1", Name: "mallory", Active: true}))
	oauthtest.Must(t, office.CreateUser(t.Context(), storage.User{ID: "1", Name: "boss", Active: true, Roles: []string{"admin"}}))
	oauthtest.Must(t, office.CreateClient(t.Context(), storage.Client{ID: "spa", Method: oauth2.None, RedirectURIs: []string{oauthtest.Redirect}, Grants: []string{oauth2.AuthorizationCode}, Scopes: []string{"read"}}))
	customers, err := session.New(shop, site, &session.Options{Cookie: "shop"})
	oauthtest.Must(t, err)
	staff, err := session.New(office, site, &session.Options{Cookie: "office"})
	oauthtest.Must(t, err)
	api, err := oauth2.New(oauthtest.Issuer, office, nil)
	oauthtest.Must(t, err)
	srv, err := server.New(api, office, &server.Options{Scopes: map[string]string{"read": ""}, SigningKeys: oauthtest.FreshRing(t, jose.ES256)})
	oauthtest.Must(t, err)
	sessions := server.Sessions{Of: staff.FromIdentity, Token: session.Token}
	_, err = openid.New(srv, &openid.Options{Sessions: sessions, EndSession: staff.EndCurrent})
	oauthtest.Must(t, err)
	_, err = consent.New(srv, sessions, "/login", nil)
	oauthtest.Must(t, err)
	mux := authz.NewMux(authn.New(authn.Chain{customers, staff}, nil))
	for _, r := range srv.Routes() {
		if r.Access == server.ForVisitors {
			mux.Handle(r.Pattern, r.Handler, authz.AllowAny)
		}
	}
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, authn.FromContext(r.Context()).Subject) }, authz.IsAuthenticated)
	return twoSchemes{mux, customers, staff}
}

// login returns the cookie of a new session of account 1 of a scheme.
func (s twoSchemes) login(t *testing.T, of *session.Scheme) string {
	rec := httptest.NewRecorder()
	oauthtest.Must(t, of.Start(rec, httptest.NewRequest("POST", oauthtest.Issuer+"/login", nil), authn.Login{Subject: "1"}))
	c := rec.Result().Cookies()[0]
	return c.Name + "=" + c.Value
}

func (s twoSchemes) send(method, path, body, cookie string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, oauthtest.Issuer+path, strings.NewReader(body))
	r.Header.Set("Cookie", cookie)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	return rec
}

var handleOf = regexp.MustCompile(`name="handle" value="([^"]+)"`)

// A customer's session is none of the staff's, whose account has the same ID.
func TestConsentOfAnotherScheme_attack_388(t *testing.T) {
	s := newTwoSchemes(t)
	q := "/oauth2/authorize?" + oauthtest.Query("spa", "scope", "read")
	if rec := s.send("GET", q, "", s.login(t, s.customers)); rec.Code != 303 || !strings.HasPrefix(rec.Header().Get("Location"), "/login") {
		t.Errorf("the customer: %d %s %.300s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	mine := s.login(t, s.staff)
	page := s.send("GET", q, "", mine)
	m := handleOf.FindStringSubmatch(page.Body.String())
	if m == nil {
		t.Fatalf("the staff: %d %s", page.Code, page.Body)
	}
	answer := url.Values{"handle": {m[1]}, "decision": {"allow"}}.Encode()
	if rec := s.send("POST", "/oauth2/authorize", answer, s.login(t, s.customers)); strings.Contains(rec.Header().Get("Location"), "code=") {
		t.Errorf("the customer answers the page of the staff: %s", rec.Header().Get("Location"))
	}
	if rec := s.send("POST", "/oauth2/authorize", answer, mine); !strings.Contains(rec.Header().Get("Location"), "code=") {
		t.Errorf("the staff: %d %s", rec.Code, rec.Body)
	}
}

// The page does not say that a user is logged out whose session is another scheme's and goes on.
func TestLogoutOfAnotherScheme_attack_389(t *testing.T) {
	s := newTwoSchemes(t)
	for name, c := range map[string]struct {
		of   *session.Scheme
		ends bool
	}{"customers": {s.customers, false}, "staff": {s.staff, true}} {
		cookie := s.login(t, c.of)
		rec := s.send("GET", "/oauth2/logout", "", cookie)
		if m := handleOf.FindStringSubmatch(rec.Body.String()); m != nil {
			rec = s.send("POST", "/oauth2/logout", url.Values{"handle": {m[1]}, "decision": {"logout"}}.Encode(), cookie)
		}
		said, lives := strings.Contains(rec.Body.String(), "You are logged out"), s.send("GET", "/me", "", cookie).Code == 200
		if said != c.ends || lives == c.ends {
			t.Errorf("%s: the page says so: %t; the session lives: %t; %s", name, said, lives, rec.Body)
		}
	}
}
