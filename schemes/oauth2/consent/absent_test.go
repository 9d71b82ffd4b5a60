package consent_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A resource that is absent, in a consent or in the options, is never every resource.
func TestAbsentResources(t *testing.T) {
	t.Run("edge_A02/remembered consent", func(t *testing.T) {
		w := oauthtest.NewWorld(t, memory.New(nil), remembering)
		alice := w.Alice("s1")
		w.Allows(alice, "app", oauthtest.Query("app", "scope", "read"))
		for what, c := range map[string]struct {
			resource []string
			asks     bool
		}{
			"none": {nil, false}, "this API": {[]string{"resource", "https://api.example"}, false}, "another": {[]string{"resource", "https://files.example"}, true},
			"both": {[]string{"resource", "https://api.example", "resource", "https://files.example"}, true},
		} {
			if got := w.Asks(alice, oauthtest.Query("app", append([]string{"scope", "read"}, c.resource...)...)); got != c.asks {
				t.Errorf("%s: asked %t", what, got)
			}
		}
	})
	t.Run("edge_A02/no audience", func(t *testing.T) {
		w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { o.Audience = "" })
		for resource, want := range map[string]int{"": 200, "https://files.example": 401, "https://api.example": 401} {
			got := w.Exchange("app", w.Code("app", func(c *storage.Code) {
				if resource != "" {
					c.Resource = []string{resource}
				}
			}))
			if status := w.Status(got.Access); status != want {
				t.Errorf("a token for %q: %d, want %d", resource, status, want)
			}
		}
	})
}
