package consent_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// What a client has not redeemed ends with the grant that the user takes back, by the endpoint and
// by the page; another client's and another user's stay.
func TestWithdrawEndsWhatIsPending_attack_279(t *testing.T) {
	for name, withdraw := range map[string]func(w *oauthtest.World, id string) int{
		"endpoint": func(w *oauthtest.World, id string) int {
			r := w.Behind(pathID(w.RevokeGrant(), id), w.Alice("s1"), "DELETE", "/grants/"+id, "")
			return r.Code
		},
		"page": func(w *oauthtest.World, id string) int {
			body := w.Behind(w.GrantsPage("/login"), w.Alice("s1"), "GET", "/oauth2/applications", "").Body.String()
			for _, m := range regexp.MustCompile(`name="grant" value="([^"]+)"`).FindAllStringSubmatch(body, -1) {
				if m[1] == id {
					return w.Behind(w.GrantsPage("/login"), w.Alice("s1"), "POST", "/oauth2/applications", "grant="+id).Code - 303 + 204
				}
			}
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := oauthtest.NewDevices(t, memory.New(nil), nil)
			oauthtest.Must(t, w.DB.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
			tv, err := w.DB.ClientByID(t.Context(), "tv")
			oauthtest.Must(t, err)
			tv.Grants, tv.RedirectURIs = append(tv.Grants, oauth2.AuthorizationCode), []string{oauthtest.Redirect}
			oauthtest.Must(t, w.DB.UpdateClient(t.Context(), tv))
			redeem := func(client, code string) oauthtest.Reply {
				return w.Post(w.Token(), "", "client_id", client, "grant_type", "authorization_code", "code", code, "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier)
			}
			if got := redeem("tv", w.Code("tv", nil)); got.Status != 200 {
				t.Fatal(got.Body)
			}
			pending, other := w.Code("tv", nil), w.Code("spa", nil)
			bobs := w.Code("tv", func(c *storage.Code) { c.Subject, c.Epoch = "id-bob", 0 })
			approved := w.Begin()
			if rec := w.Decides(w.Alice("s1"), approved.User, "allow"); rec.Code != 200 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			undecided := w.Begin()
			mine := w.GrantsOf(w.Alice("s1"))
			if len(mine) != 1 {
				t.Fatalf("%+v", mine)
			}
			if got := withdraw(w, mine[0].ID); got != 204 {
				t.Fatalf("withdrawn: %d", got)
			}
			if got := w.GrantsOf(w.Alice("s1")); len(got) != 0 {
				t.Errorf("left: %+v", got)
			}
			w.Pass(20 * time.Second)
			if got := redeem("tv", pending); got.Status != 400 || got.Error != "invalid_grant" {
				t.Errorf("a code: %d %s", got.Status, got.Body)
			}
			if got := w.Poll("tv", approved.Device); got.Status != 400 {
				t.Errorf("an approved device code: %d %s", got.Status, got.Body)
			}
			if got := w.GrantsOf(w.Alice("s1")); len(got) != 0 {
				t.Errorf("came back: %+v", got)
			}
			if got := redeem("tv", bobs); got.Status != 200 {
				t.Errorf("another user's code: %s", got.Body)
			}
			if got := redeem("spa", other); got.Status != 200 {
				t.Errorf("another client's code: %s", got.Body)
			}
			if got := w.Poll("tv", undecided.Device); got.Error != "authorization_pending" {
				t.Errorf("a device code that nobody decided: %s", got.Body)
			}
		})
	}
}

// pathID serves h with that {id} in the path.
func pathID(h http.Handler, id string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.SetPathValue("id", id)
		h.ServeHTTP(w, r)
	})
}
