package consent_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A hook that panics is a 500 that tells nothing, and leaves nothing half done.
func TestHooksPanic(t *testing.T) {
	for _, hook := range []string{"Session", "Token", "RenderConsent"} {
		t.Run("attack_245_"+hook, func(t *testing.T) {
			s, panics := &requests{Store: memory.New(nil)}, false
			at := func(where string) {
				if panics && where == hook {
					panic("hush")
				}
			}
			w := oauthtest.NewDevices(t, s, func(o *oauthtest.Options) {
				o.InsecureNoLimits = false
				o.Session = func(id authn.Identity) (string, int64, bool) { at("Session"); return oauthtest.SessionOf(id) }
				o.Token = func(authn.Identity) string { at("Token"); return "token" }
				o.RenderConsent = func(w http.ResponseWriter, _ *http.Request, c consent.Consent) {
					w.Header().Set("X-Half", "done")
					_, _ = w.Write([]byte(`<input name="handle" value="` + c.Handle + `">`))
					at("RenderConsent")
				}
			})
			alice, b := w.Alice("s1"), w.Begin()
			pushed := push(t, w)
			get := func(h http.Handler, target string) *httptest.ResponseRecorder {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, authntest.As(httptest.NewRequest("GET", oauthtest.Issuer+target, nil), *alice))
				return rec
			}
			pages := map[string]func() *httptest.ResponseRecorder{
				"authorize": func() *httptest.ResponseRecorder { return w.Authorizes(alice, "GET", oauthtest.Query("app"), "") },
				"pushed":    func() *httptest.ResponseRecorder { return w.Authorizes(alice, "GET", pushed, "") },
			}
			if hook != "RenderConsent" {
				pages["device"] = func() *httptest.ResponseRecorder { return w.DevicePage(alice, "GET", "") }
				pages["device code"] = func() *httptest.ResponseRecorder {
					return w.DevicePage(alice, "POST", "user_code="+url.QueryEscape(b.User))
				}
				pages["grants"] = func() *httptest.ResponseRecorder { return get(w.GrantsPage("/login"), "/oauth2/grants") }
			}
			if hook == "Session" {
				pages["decision"] = func() *httptest.ResponseRecorder { return w.Authorizes(alice, "POST", "", "handle=x&decision=allow") }
				pages["grant"] = func() *httptest.ResponseRecorder {
					rec, r := httptest.NewRecorder(), httptest.NewRequest("POST", oauthtest.Issuer+"/oauth2/grants", strings.NewReader("grant=x"))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					w.GrantsPage("/login").ServeHTTP(rec, authntest.As(r, *alice))
					return rec
				}
			}
			s.changes, panics = 0, true
			for name, page := range pages {
				rec := page()
				if rec.Code != 500 || rec.Header().Get("X-Half") != "" || strings.Contains(rec.Body.String(), "handle") || strings.Contains(rec.Body.String(), "hush") {
					t.Errorf("%s: %d %v %s", name, rec.Code, rec.Header(), rec.Body)
				}
			}
			if s.changes != 0 {
				t.Errorf("%d records were stored or used up", s.changes)
			}
			panics = false
			if rec := w.Authorizes(alice, "GET", pushed, ""); rec.Code != 200 || rec.Header().Get("X-Half") != "done" {
				t.Errorf("afterwards: %d %s", rec.Code, rec.Body)
			}
		})
	}
}

// requests counts what changes waiting requests.
type requests struct {
	oauthtest.Store
	changes int
}

func (s *requests) CreateAuthRequest(ctx context.Context, a storage.AuthRequest) error {
	s.changes++
	return s.Store.CreateAuthRequest(ctx, a)
}

func (s *requests) ConsumeAuthRequest(ctx context.Context, d storage.Digest) error {
	s.changes++
	return s.Store.ConsumeAuthRequest(ctx, d)
}

// push pushes a request of the client app, and returns the query that names it.
func push(t *testing.T, w *oauthtest.World) string {
	t.Helper()
	var got struct {
		URI string `json:"request_uri"`
	}
	v, err := url.ParseQuery(oauthtest.Query("app"))
	oauthtest.Must(t, err)
	v.Del("client_id")
	pairs := []string{}
	for name := range v {
		pairs = append(pairs, name, v.Get(name))
	}
	if rep := w.Post(w.PushedAuthorization(), "app", pairs...); rep.Status != 201 || json.Unmarshal([]byte(rep.Body), &got) != nil {
		t.Fatalf("%d %s", rep.Status, rep.Body)
	}
	return url.Values{"client_id": {"app"}, "request_uri": {got.URI}}.Encode()
}
