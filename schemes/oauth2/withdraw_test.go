package oauth2_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// What a client has not redeemed ends with the grant that the user takes back, by the endpoint and
// by the page; another client's and another user's stay.
func TestWithdrawEndsWhatIsPending_attack_279(t *testing.T) {
	for name, withdraw := range map[string]func(w *world, id string) int{
		"endpoint": func(w *world, id string) int {
			r := w.behind(pathID(w.RevokeGrant(), id), w.alice("s1"), "DELETE", "/grants/"+id, "")
			return r.Code
		},
		"page": func(w *world, id string) int {
			body := w.behind(w.GrantsPage("/login"), w.alice("s1"), "GET", "/oauth2/applications", "").Body.String()
			for _, m := range regexp.MustCompile(`name="grant" value="([^"]+)"`).FindAllStringSubmatch(body, -1) {
				if m[1] == id {
					return w.behind(w.GrantsPage("/login"), w.alice("s1"), "POST", "/oauth2/applications", "grant="+id).Code - 303 + 204
				}
			}
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newDevices(t, memory.New(nil), nil)
			must(t, w.s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
			tv, err := w.s.ClientByID(t.Context(), "tv")
			must(t, err)
			tv.Grants, tv.RedirectURIs = append(tv.Grants, oauth2.AuthorizationCode), []string{redirect}
			must(t, w.s.UpdateClient(t.Context(), tv))
			redeem := func(client, code string) reply {
				return w.post(w.Token(), "", "client_id", client, "grant_type", "authorization_code", "code", code, "redirect_uri", redirect, "code_verifier", verifier)
			}
			if got := redeem("tv", w.code("tv", nil)); got.Status != 200 {
				t.Fatal(got.Body)
			}
			pending, other := w.code("tv", nil), w.code("spa", nil)
			bobs := w.code("tv", func(c *storage.Code) { c.Subject, c.Epoch = "id-bob", 0 })
			approved := w.begin()
			if rec := w.decides(w.alice("s1"), approved.User, "allow"); rec.Code != 200 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			undecided := w.begin()
			mine := w.grantsOf(w.alice("s1"))
			if len(mine) != 1 {
				t.Fatalf("%+v", mine)
			}
			if got := withdraw(w, mine[0].ID); got != 204 {
				t.Fatalf("withdrawn: %d", got)
			}
			if got := w.grantsOf(w.alice("s1")); len(got) != 0 {
				t.Errorf("left: %+v", got)
			}
			w.pass(20 * time.Second)
			if got := redeem("tv", pending); got.Status != 400 || got.Error != "invalid_grant" {
				t.Errorf("a code: %d %s", got.Status, got.Body)
			}
			if got := w.poll("tv", approved.Device); got.Status != 400 {
				t.Errorf("an approved device code: %d %s", got.Status, got.Body)
			}
			if got := w.grantsOf(w.alice("s1")); len(got) != 0 {
				t.Errorf("came back: %+v", got)
			}
			if got := redeem("tv", bobs); got.Status != 200 {
				t.Errorf("another user's code: %s", got.Body)
			}
			if got := redeem("spa", other); got.Status != 200 {
				t.Errorf("another client's code: %s", got.Body)
			}
			if got := w.poll("tv", undecided.Device); got.Error != "authorization_pending" {
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
