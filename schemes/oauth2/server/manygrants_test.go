package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// granted is a world whose alice has many grants.
type granted struct {
	*oauthtest.World
	*schemetest.Rows
	like storage.Family // one of her grants
}

// registers adds n clients that registered themselves, from this number on.
func registers(t *testing.T, s storage.Clients, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		schemetest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: fmt.Sprint("c", i), Method: oauth2.None, RedirectURIs: []string{oauthtest.Redirect},
			Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"}, Registration: storage.DigestOf("x"), Created: oauthtest.Born}))
	}
}

// eachGranted runs f on every kind of store, with a grant of alice to "app".
func eachGranted(t *testing.T, f func(t *testing.T, w *granted)) {
	schemetest.Each(t, func() time.Time { return oauthtest.Born }, func(t *testing.T, s storagetest.Store) {
		rows := &schemetest.Rows{Store: s}
		w := &granted{Rows: rows, World: oauthtest.NewWorld(t, rows, func(o *oauthtest.Options) {
			oauthtest.WithSessions(o)
			o.RememberConsent = time.Hour
		})}
		w.Allows(w.Alice("s"), "app", oauthtest.Query("app", "scope", "read"))
		list, _, err := w.World.Server.Server.Grants(t.Context(), "id-alice", storage.FamilyPlace{}, 10)
		schemetest.Must(t, err)
		w.like = list[0]
		f(t, w)
	})
}

// total returns how many grants alice has, and how many of them the client.
func (w *granted) total(t *testing.T, client string) (all, own int) {
	t.Helper()
	list, err := w.Store.ListFamilies(t.Context(), w.like.Purpose, "id-alice", storage.FamilyPlace{}, 20_000)
	schemetest.Must(t, err)
	for _, f := range list {
		if f.Client == client {
			own++
		}
	}
	return len(list), own
}

func (w *granted) deletes(path string) int {
	mux := http.NewServeMux()
	mux.Handle("DELETE /grants/{id}", w.RevokeGrant())
	return w.Behind(mux, w.Alice("s"), "DELETE", path, "").Code
}

// The requests of one client and the revocation of one grant do not read the user's other grants.
func TestManyGrantsAreNotRead_attack_373(t *testing.T) {
	eachGranted(t, func(t *testing.T, w *granted) {
		registers(t, w.Store, 0, 30)
		ids := schemetest.Families(t, w.Store, w.Store, w.like, 900, func(i int) string { return fmt.Sprint("c", i%30) })
		alice := w.Alice("s")
		reads := func(what string, most int64, f func()) {
			t.Helper()
			w.Rows.N.Store(0)
			f()
			if n := w.Rows.N.Load(); n > most {
				t.Errorf("%s: %d grants were read", what, n)
			}
		}
		reads("a request that cannot succeed", 1, func() {
			if rec := w.Authorizes(alice, "GET", oauthtest.Query("c1", "scope", "nosuch"), ""); rec.Code != 303 {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
		reads("a remembered consent", 2, func() {
			if w.Asks(alice, oauthtest.Query("app", "scope", "read")) {
				t.Error("the user is asked again")
			}
		})
		reads("the exchange of a code", 0, func() {
			if got := w.Exchange("spa", w.Code("spa", nil)); got.Status != 200 {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
		reads("an unknown grant", 0, func() {
			if code := w.deletes("/grants/nosuch"); code != 404 {
				t.Error(code)
			}
		})
		reads("the oldest grant", 0, func() {
			if code := w.deletes("/grants/" + ids[899]); code != 204 {
				t.Error(code)
			}
		})
		reads("all grants of a client", 30, func() {
			schemetest.Must(t, w.World.Server.Server.RevokeGrant(t.Context(), "id-alice", ids[0], true))
		})
		if all, own := w.total(t, "c0"); all != 871 || own != 0 { // app, spa, and 900 less 1 and 30
			t.Errorf("%d grants, %d of the client", all, own)
		}
	})
}

// An account has a bounded number of grants, however many clients it has them with. Beyond it the
// oldest one of the client that has most is revoked.
func TestGrantsOfAnAccount_attack_374(t *testing.T) {
	eachGranted(t, func(t *testing.T, w *granted) {
		registers(t, w.Store, 0, 20)
		// app has 1; c0 to c18 have 50 each and c19 has 49: 1,000 with app's.
		ids := schemetest.Families(t, w.Store, w.Store, w.like, 999, func(i int) string { return fmt.Sprint("c", i%20) })
		oldest := func(client int) string { // of those that are left
			for _, id := range slices.Backward(ids) {
				var n int
				_, _ = fmt.Sscan(id[strings.LastIndex(id, "-")+1:], &n)
				if _, err := w.Store.FamilyByID(t.Context(), w.like.Purpose, "id-alice", id); err == nil && n%20 == client {
					return id
				}
			}
			return ""
		}
		w.Take()
		first := []string{oldest(18), oldest(17)} // the last two that were created have the oldest grants
		for n := range 2 {
			if got := w.Exchange("spa", w.Code("spa", nil)); got.Status != 200 {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			var evicted []string
			for _, e := range w.Events() {
				if e.Kind == audit.TokenEvicted {
					evicted = append(evicted, e.Family)
				}
			}
			if !slices.Equal(evicted, first[n:n+1]) {
				t.Errorf("evicted %q, want %q", evicted, first[n])
			}
		}
		if all, own := w.total(t, "spa"); all != 1000 || own != 2 {
			t.Errorf("%d grants, %d of the new client", all, own)
		}
		if _, own := w.total(t, "app"); own != 1 {
			t.Error("the only grant of a client was revoked")
		}
		// Of many that are beyond the limit, a client keeps the newer half.
		like := w.like
		like.ID, like.Client = "more", "c3"
		schemetest.Families(t, w.Store, w.Store, like, 30, nil)
		_, before := w.total(t, "c3")
		if got := w.Exchange("spa", w.Code("spa", nil)); got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if all, own := w.total(t, "c3"); before != 80 || own != 49 || all != 1000 {
			t.Errorf("%d grants, the client had %d and has %d", all, before, own)
		}
		schemetest.Families(t, w.Store, w.Store, storage.Family{ID: "still more", Purpose: like.Purpose, Subject: like.Subject, Client: "c3", Scopes: like.Scopes, Created: like.Created, Expires: like.Expires}, 5, nil)
		like.ID = "new clients"
		registers(t, w.Store, 20, 60)
		schemetest.Families(t, w.Store, w.Store, like, 200, func(i int) string { return fmt.Sprint("c", 20+i%60) })
		_, before = w.total(t, "c3")
		if got := w.Exchange("spa", w.Code("spa", nil)); got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if _, own := w.total(t, "c3"); before != 54 || own != 27 {
			t.Errorf("the client had %d and has %d", before, own)
		}
	})
}

// A new grant is not revoked for being the oldest by a clock that was set back.
func TestNewGrantStays_attack_374(t *testing.T) {
	eachGranted(t, func(t *testing.T, w *granted) {
		like := w.like
		like.Client = "spa"
		schemetest.Families(t, w.Store, w.Store, like, 100, nil)
		w.Pass(-time.Hour)
		got := w.Exchange("spa", w.Code("spa", nil))
		if got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if got := w.Refreshes("spa", got.Refresh); got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}

// Grants from before there was a limit are found, revoked with all of their client's, and evicted
// a few at a time.
func TestGrantsBeyondTheLimits_attack_376(t *testing.T) {
	eachGranted(t, func(t *testing.T, w *granted) {
		registers(t, w.Store, 0, 2)
		many := 1500 // more take a database too long
		if strings.HasSuffix(t.Name(), "/memory") {
			many = 11_000
		}
		ids := schemetest.Families(t, w.Store, w.Store, w.like, many, func(i int) string { return fmt.Sprint("c", min(i/300, 1)) }) // c0 has the newest 300
		if code := w.deletes("/grants/" + ids[many-1]); code != 204 {
			t.Errorf("the oldest grant: %d", code)
		}
		if ok, err := w.HasGrant(t.Context(), "id-alice", "c1"); !ok || err != nil {
			t.Errorf("%t, %v", ok, err)
		}
		got := w.Exchange("spa", w.Code("spa", nil))
		if got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if all, own := w.total(t, "c1"); all != many-1+2-50 || own != many-300-1-50 {
			t.Errorf("%d grants, %d of the client that has most", all, own)
		}
		schemetest.Must(t, w.World.Server.Server.RevokeGrant(t.Context(), "id-alice", ids[many/2], true))
		if all, own := w.total(t, "c1"); all != 302 || own != 0 {
			t.Errorf("%d grants, %d of the client", all, own)
		}
		if ok, err := w.HasGrant(t.Context(), "id-alice", "c1"); ok || err != nil {
			t.Errorf("%t, %v", ok, err)
		}
		if err := w.World.Server.Server.RevokeGrant(t.Context(), "id-alice", ids[many/2], true); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a second time: %v", err)
		}
		if got := w.Refreshes("spa", got.Refresh); got.Status != 200 {
			t.Errorf("another client's grant: %d %s", got.Status, got.Body)
		}
	})
}
