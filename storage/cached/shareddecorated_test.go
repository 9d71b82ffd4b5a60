package cached_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// narrow is a checker of an application's own that takes the roles from a login.
type narrow struct{ authn.PasswordChecker }

func (n narrow) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	login, err := n.PasswordChecker.CheckPassword(r, name, password)
	if r.Header.Get("X-Narrow") != "" {
		login.Roles = nil
	}
	return login, err
}

// A checker around Cached says who somebody is, each time: what was made of another login
// of the same password is not given for it.
func TestSharedAndDecoratedChecker(t *testing.T) {
	t.Run("attack_109_roles_of_another_login", func(t *testing.T) {
		w := newWorld(t, memory.New(nil), nil)
		verified, _ := basics(w)
		wide, err := basic.New(verified, nil)
		w.must(err)
		narrowed, err := basic.New(narrow{verified}, nil)
		w.must(err)
		handlers := map[*basic.Scheme]func(*http.Request) (*authn.Identity, error){wide: peeking(wide), narrowed: peeking(narrowed)}
		is := func(s *basic.Scheme, header string, want bool) *authn.Identity {
			t.Helper()
			r := httptest.NewRequest("GET", origin+"/", nil)
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:wonderland-42")))
			r.Header.Set("X-Narrow", header)
			id, err := handlers[s](r)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(id.Roles, "admin"); got != want {
				t.Errorf("narrowed %q: admin %t", header, got)
			}
			return id
		}
		for range 4 {
			is(wide, "", true)
		}
		if last := is(wide, "", true); last != is(wide, "", true) {
			t.Error("not shared")
		}
		for range 3 {
			is(narrowed, "yes", false)
			is(narrowed, "", true)
			is(wide, "", true)
		}
	})
}
