package consent_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A user sees for which API a client asks, on every page and in the list.
func TestPagesNameResources(t *testing.T) {
	const hostile = "https://api.example/<script>&x='1'"
	w := oauthtest.NewDevices(t, memory.New(nil), func(o *oauthtest.Options) { o.Audience = "https://own.example" })
	for _, id := range []string{"app", "tv"} {
		c, err := w.DB.ClientByID(t.Context(), id)
		oauthtest.Must(t, err)
		c.Resources = []string{"https://files.example", hostile}
		oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
	}
	alice := w.Alice("s1")
	names := func(t *testing.T, page, body string, want ...string) {
		t.Helper()
		for _, uri := range want {
			if !strings.Contains(body, "<code>"+uri+"</code>") {
				t.Errorf("%s does not name %q: %s", page, uri, body)
			}
		}
		if n := strings.Count(body, "<code>"); n != len(want) || strings.Contains(body, "<script>") {
			t.Errorf("%s names %d resources: %s", page, n, body)
		}
	}
	const escaped = "https://api.example/&lt;script&gt;&amp;x=&#39;1&#39;"
	page := w.Authorizes(alice, "GET", oauthtest.Query("app")+"&resource=https://files.example&resource="+url.QueryEscape(hostile), "")
	t.Run("attack_521_consent", func(t *testing.T) { names(t, "consent", page.Body.String(), "https://files.example", escaped) })
	t.Run("attack_521_own", func(t *testing.T) {
		names(t, "consent", w.Authorizes(alice, "GET", oauthtest.Query("app"), "").Body.String(), "https://own.example")
	})
	b := w.Begin("resource", "https://files.example")
	t.Run("attack_521_device", func(t *testing.T) {
		names(t, "device", w.DevicePage(alice, "POST", "user_code="+url.QueryEscape(b.User)).Body.String(), "https://files.example")
	})
	code := oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "decision=allow&handle="+url.QueryEscape(oauthtest.HandleOf(t, page))), oauthtest.Redirect).Get("code")
	if got := w.Exchange("app", code); got.Status != 200 {
		t.Fatal(got.Body)
	}
	w.Pass(time.Second)
	w.Exchange("app", oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "decision=allow&handle="+url.QueryEscape(oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), "")))), oauthtest.Redirect).Get("code"))
	t.Run("attack_521_grants", func(t *testing.T) {
		names(t, "grants", w.Behind(w.GrantsPage("/login"), alice, "GET", "/oauth2/applications", "").Body.String(), "https://own.example", "https://files.example", escaped)
		if list := w.GrantsOf(alice); len(list) != 2 || strings.Join(list[1].Resource, " ") != "https://files.example "+hostile || strings.Join(list[0].Resource, " ") != "https://own.example" {
			t.Errorf("%+v", list)
		}
	})
}
