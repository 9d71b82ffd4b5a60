package registration_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// slow is a body before whose first byte something happens.
type slow struct {
	io.Reader
	before func()
}

func (s *slow) Read(b []byte) (int, error) {
	if s.before != nil {
		s.before()
		s.before = nil
	}
	return s.Reader.Read(b)
}

// A client that keeps the body of its change back until its administrator did something does
// not take that back.
func TestSlowChange(t *testing.T) {
	for what, change := range map[string]func(*storage.Client){
		"disabled": func(c *storage.Client) { c.Disabled = true },
		"trusted":  func(c *storage.Client) { c.Trusted = true },
		"token":    func(c *storage.Client) { c.Registration = storage.DigestOf("another") },
	} {
		t.Run(what, func(t *testing.T) {
			oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
				w, initial := oauthtest.NewRegistry(t, s, nil)
				one := w.Manages("POST", "/oauth2/register", initial, `{"redirect_uris":["https://new.example/cb"]}`)
				r := httptest.NewRequest("PUT", oauthtest.Issuer+"/oauth2/register/"+one.ID, &slow{strings.NewReader(`{"client_id":"` + one.ID + `","redirect_uris":["https://evil.example/cb"]}`), func() {
					c, err := s.ClientByID(t.Context(), one.ID)
					oauthtest.Must(t, err)
					change(&c)
					oauthtest.Must(t, s.UpdateClient(t.Context(), c))
				}})
				r.SetPathValue("id", one.ID)
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+one.Token)
				rec := httptest.NewRecorder()
				w.ClientConfiguration().ServeHTTP(rec, r)
				c, err := s.ClientByID(t.Context(), one.ID)
				oauthtest.Must(t, err)
				want := c
				change(&want)
				if rec.Code != 401 && rec.Code != 403 || c.RedirectURIs[0] != "https://new.example/cb" || c.Disabled != want.Disabled || c.Trusted != want.Trusted || c.Registration != want.Registration {
					t.Errorf("%d %s: %+v", rec.Code, rec.Body, c)
				}
			})
		})
	}
}

// A client that an administrator granted rights cannot delete itself, as it cannot change itself.
func TestDeleteGranted_attack_421(t *testing.T) {
	for name, grant := range map[string]func(*storage.Client){
		"serves":  func(c *storage.Client) { c.Serves = []string{"https://api.example"} },
		"trusted": func(c *storage.Client) { c.Trusted = true },
		"neither": func(*storage.Client) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := memory.New(nil)
			w, initial := oauthtest.NewRegistry(t, s, nil)
			one := w.Manages("POST", "/oauth2/register", initial, `{"redirect_uris":["https://new.example/cb"]}`)
			c, err := s.ClientByID(t.Context(), one.ID)
			oauthtest.Must(t, err)
			grant(&c)
			oauthtest.Must(t, s.UpdateClient(t.Context(), c))
			want, kept := 403, true
			if name == "neither" {
				want, kept = 204, false
			}
			got := w.Manages("DELETE", "/oauth2/register/"+one.ID, one.Token, "")
			if _, err := s.ClientByID(t.Context(), one.ID); got.Status != want || (err == nil) != kept {
				t.Errorf("%d, client: %v; want %d", got.Status, err, want)
			}
		})
	}
}
