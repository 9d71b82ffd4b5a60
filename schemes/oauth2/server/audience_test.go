package server_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

const bank = "https://bank.example"

// besides returns two worlds over the store of w: a server of the same issuer for another API, and one
// without an audience.
func besides(w *oauthtest.World, change func(*oauthtest.Options)) (other, none *oauthtest.World) {
	of := func(audience string) *oauthtest.World {
		return w.Beside(func(o *oauthtest.Options) {
			if change != nil {
				change(o)
			}
			o.Audience = audience
		})
	}
	return of(bank), of("")
}

// accepts reports whether the API of a world accepts a token, by its scheme itself.
func accepts(w *oauthtest.World, token string) bool {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	_, err := w.Scheme().Authenticate(r)
	return err == nil
}

// A token that was requested without a resource is for the API of the server that issued it, and for
// no other API over the same store.
func TestTokensOfAnotherAudience_attack_363(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewDevices(t, s, func(o *oauthtest.Options) { o.InsecureImplicitGrant = true })
		other, none := besides(w, nil)
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "old", Method: oauth2.None, RedirectURIs: []string{oauthtest.Redirect}, Grants: []string{oauth2.Implicit}, Scopes: []string{"read"}}))
		alice := w.Alice("s1")
		begun := w.Begin()
		w.Decides(alice, begun.User, "allow")
		first := w.Exchange("spa", w.Code("spa", nil))
		handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", "client_id=old&response_type=token&scope=read", ""))
		_, implicit, _ := strings.Cut(w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow").Header().Get("Location"), "access_token=")
		implicit, _, _ = strings.Cut(implicit, "&")
		tokens := map[string]string{
			"code": first.Access, "refresh": w.Refreshes("spa", first.Refresh).Access, "client": w.Post(w.Token(), "app", "grant_type", "client_credentials").Access,
			"device": w.Poll("tv", begun.Device).Access, "implicit": implicit, "named": w.Post(w.Token(), "app", "grant_type", "client_credentials", "resource", "https://api.example").Access,
		}
		for name, token := range tokens {
			if !accepts(w, token) || accepts(other, token) || accepts(none, token) {
				t.Errorf("%s: accepted here %t, at another API %t, at one without an audience %t", name, accepts(w, token), accepts(other, token), accepts(none, token))
			}
			st, err := s.AccessByDigest(t.Context(), storage.DigestOf(token))
			if err != nil || !slices.Equal(st.Access.Resource, []string{"https://api.example"}) {
				t.Errorf("%s: the record names %q, %v", name, st.Access.Resource, err)
			}
		}
		for _, world := range []*oauthtest.World{w, other} {
			if got := world.Post(world.Introspect(), "app", "token", tokens["client"]); !strings.Contains(got.Body, `"aud":["https://api.example"]`) {
				t.Errorf("introspection: %s", got.Body)
			}
		}
		mine := none.Post(none.Token(), "app", "grant_type", "client_credentials").Access
		if accepts(w, mine) || !accepts(none, mine) || w.Post(w.Introspect(), "app", "token", mine).Active || !none.Post(none.Introspect(), "app", "token", mine).Active {
			t.Error("a token of a server without an audience is taken for one that names this API, or is not accepted by its own")
		}
	})
}

// Nor does a grant, a code or a consent without a resource become one for the API of whoever reads it.
func TestGrantsOfAnotherAudience_attack_364(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		remembers := func(o *oauthtest.Options) {
			oauthtest.WithSessions(o)
			o.RememberConsent = time.Hour
		}
		w := oauthtest.NewWorld(t, s, remembers)
		other, none := besides(w, remembers)
		for name, from := range map[string]*oauthtest.World{"audience": w, "none": none} {
			alice := from.Alice("s1")
			got := from.Allows(alice, "other", oauthtest.Query("other", "scope", "read"))
			if got.Status != 200 {
				t.Fatal(got.Body)
			}
			if again := other.Refreshes("other", got.Refresh); again.Error != "invalid_grant" {
				t.Errorf("%s: refreshed at another server: %d %s", name, again.Status, again.Body)
			}
			if about := other.Post(other.Introspect(), "other", "token", got.Refresh); about.Active {
				t.Errorf("%s: %s", name, about.Body)
			}
			if !other.Asks(alice, oauthtest.Query("other", "scope", "read")) {
				t.Errorf("%s: the consent to one API counts at another", name)
			}
			if again := from.Refreshes("other", got.Refresh); again.Status != 200 || !accepts(from, again.Access) {
				t.Errorf("%s: the refusal ended the grant: %s", name, again.Body)
			}
			code := oauthtest.Sent(t, from.Authorizes(alice, "GET", oauthtest.Query("other", "scope", "read"), ""), oauthtest.Redirect).Get("code")
			if got := other.Exchange("other", code); got.Status != 400 {
				t.Errorf("%s: its code at another server: %d %s", name, got.Status, got.Body)
			}
			if got := from.Exchange("other", code); got.Status != 200 {
				t.Errorf("%s: its code: %d %s", name, got.Status, got.Body)
			}
		}
	})
}

// What an earlier version stored without a resource: its access tokens are refused, and its grants are
// those of the server that they are refreshed at.
func TestRecordsWithoutAResource_attack_365(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		_, none := besides(w, nil)
		epoch, err := s.SubjectEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		first := w.Exchange("spa", w.Code("spa", nil))
		list, _, err := w.Server.Server.Grants(t.Context(), "id-alice", storage.FamilyPlace{}, 10)
		oauthtest.Must(t, err)
		now := w.Clock()
		encode := func(prefix, text string) string {
			var body [credential.Size]byte
			copy(body[:], text)
			return credential.MustFormat(prefix).Encode(body)
		}
		refresh, access := encode("vor", "refresh"), encode(oauth2.AccessPrefix, "access")
		family := storage.Family{ID: "former", Purpose: list[0].Purpose, Client: "spa", Subject: "id-alice", Epoch: epoch, Scopes: []string{"read"}, AuthTime: now, Created: now, Expires: now.Add(time.Hour)}
		oauthtest.Must(t, s.CreateFamily(t.Context(), family, storage.Refresh{Digest: storage.DigestOf(refresh), Created: now, Expires: now.Add(time.Hour)}))
		oauthtest.Must(t, s.CreateAccess(t.Context(), storage.AccessToken{
			Digest: storage.DigestOf(access), ID: "former", Family: "former", Client: "spa", Subject: "id-alice", Epoch: epoch, Scopes: []string{"read"}, Created: now, Expires: now.Add(time.Hour),
		}))
		if accepts(w, access) || !accepts(none, access) || !accepts(w, first.Access) {
			t.Error("an access token without a resource is accepted by an API with an audience, or refused by one without")
		}
		got := w.Refreshes("spa", refresh, "resource", "https://api.example")
		if got.Status != 200 || !accepts(w, got.Access) {
			t.Fatalf("the grant: %d %s", got.Status, got.Body)
		}
		if got = w.Refreshes("spa", got.Refresh); got.Status != 200 || !accepts(w, got.Access) {
			t.Errorf("the grant: %d %s", got.Status, got.Body)
		}
	})
}
