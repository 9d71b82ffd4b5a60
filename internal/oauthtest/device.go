package oauthtest

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

func NewRing(t *testing.T, masters ...[]byte) *keys.Ring {
	t.Helper()
	ring, err := keys.NewRing(masters...)
	Must(t, err)
	return ring
}

// NewDevices is newWorld with the device grant and the clients "tv" and "radio", both public.
func NewDevices(t *testing.T, s Store, change func(*Options)) *World {
	t.Helper()
	w := NewWorld(t, s, func(o *Options) {
		WithSessions(o)
		o.Keys = NewRing(t, keys.Generate())
		if change != nil {
			change(o)
		}
	})
	for _, id := range []string{"tv", "radio"} {
		Must(t, s.CreateClient(t.Context(), storage.Client{
			ID: id, Name: "Big <" + id + ">", Method: oauth2.None, Trusted: true, Grants: []string{oauth2.DeviceCode, oauth2.RefreshToken}, Scopes: []string{"read", "write"},
			Resources: []string{"https://api.example", "https://files.example"},
		}))
	}
	return w
}

// Begun is the answer of the device authorization endpoint.
type Begun struct {
	Device   string `json:"device_code"`
	User     string `json:"user_code"`
	Page     string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Expires  int    `json:"expires_in"`
	Interval int    `json:"interval"`
}

func (w *World) Begin(pairs ...string) (b Begun) {
	w.T.Helper()
	got := w.Post(w.DeviceAuthorization(), "", append([]string{"client_id", "tv"}, pairs...)...)
	if err := json.Unmarshal([]byte(got.Body), &b); err != nil || got.Status != 200 {
		w.T.Fatalf("%d %s", got.Status, got.Body)
	}
	return b
}

func (w *World) Poll(client, code string, pairs ...string) Reply {
	return w.Post(w.Token(), "", append([]string{"grant_type", oauth2.DeviceCode, "client_id", client, "device_code", code}, pairs...)...)
}

// DevicePage sends a request to the page as that identity, nil for nobody: a GET with a query, or
// a POST with a body.
func (w *World) DevicePage(id *authn.Identity, method, text string) *httptest.ResponseRecorder {
	return w.DeviceFrom(id, "192.0.2.1:1234", method, text)
}

func (w *World) DeviceFrom(id *authn.Identity, addr, method, text string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", Issuer+"/oauth2/device", strings.NewReader(text))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if method != "POST" {
		r = httptest.NewRequest(method, Issuer+"/oauth2/device?"+text, nil)
	}
	r.RemoteAddr = addr
	if id != nil {
		r = authntest.As(r, *id)
	}
	rec := httptest.NewRecorder()
	w.Device("/login").ServeHTTP(rec, r)
	return rec
}

// Decides types the code and answers the page.
func (w *World) Decides(id *authn.Identity, code, decision string) *httptest.ResponseRecorder {
	w.T.Helper()
	handle := HandleOf(w.T, w.DevicePage(id, "POST", "user_code="+code))
	return w.DevicePage(id, "POST", "handle="+handle+"&decision="+decision)
}
