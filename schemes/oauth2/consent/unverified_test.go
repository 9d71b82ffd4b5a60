package consent_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A client that registered itself may have taken another one's name: the page says that nobody has
// checked it, and where the browser goes.
func TestUnverified_attack_325(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	for id, c := range map[string]struct {
		registration    storage.Digest
		redirect, shown string
		warned          bool
	}{
		"ours":   {storage.Digest{}, "https://bank.example/cb", "bank.example", false},
		"itself": {storage.DigestOf("x"), "https://evil.example/cb", "evil.example", true},
		"native": {storage.DigestOf("y"), "com.example.bank:/cb", "a program on this device: com.example.bank", true},
		"loop":   {storage.DigestOf("z"), "http://127.0.0.1:7777/cb", "a program on this device: 127.0.0.1:7777", true},
	} {
		oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{
			ID: id, Name: "The Bank", Method: oauth2.None, Native: true, Registration: c.registration, Grants: []string{oauth2.AuthorizationCode},
			RedirectURIs: []string{c.redirect}, Scopes: []string{"read"}, Default: []string{"read"},
		}))
		rec := w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query(id, "redirect_uri", c.redirect), "")
		text := rec.Body.String()
		if rec.Code != 200 || !strings.Contains(text, "The Bank</strong> <strong>("+c.shown+")</strong>") || strings.Contains(text, "is not verified") != c.warned {
			t.Errorf("%s: %d %s", id, rec.Code, text)
		}
	}
}
