package authntest

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

type always struct{}

func (always) Valid(context.Context) bool { return true }

// keyed is a scheme of keys with one fault.
type keyed struct{ wrong string }

func (k *keyed) Name() string      { return "keyed" }
func (k *keyed) Headers() []string { return []string{"X-Api-Key"} }

func (k *keyed) Presented(r *http.Request) (string, bool) {
	key, tenant := r.Header.Get("X-Api-Key"), r.Header.Get("X-Tenant")
	switch {
	case len(r.Header["X-Api-Key"]) > 1 && k.wrong != "doubled":
		return "", false
	case k.wrong == "tenant":
		return key, false
	}
	return key + "\x00" + tenant, false
}

func (k *keyed) check(r *http.Request) error {
	switch {
	case r.TLS == nil && k.wrong != "plain http":
		return authn.PermissionDenied("https only.")
	case !strings.HasPrefix(r.RemoteAddr, "192.0.2.") && k.wrong != "address":
		return authn.PermissionDenied("Not from there.")
	case r.Host != "example.com" && k.wrong != "host":
		return authn.PermissionDenied("Not here.")
	case r.Method != "GET" && k.wrong != "method":
		return authn.PermissionDenied("Read only.")
	}
	return nil
}

func (k *keyed) Authenticate(r *http.Request) (authn.Identity, error) {
	key, tenant := r.Header.Get("X-Api-Key"), r.Header.Get("X-Tenant")
	switch {
	case key == "":
		return authn.Identity{}, authn.ErrNoCredentials
	case len(r.Header["X-Api-Key"]) > 1:
		return authn.Identity{}, authn.BadRequest("Two keys.")
	case key != "good":
		return authn.Identity{}, authn.AuthenticationFailed("Invalid key.")
	}
	if err := (&keyed{}).check(r); err != nil {
		return authn.Identity{}, err
	}
	return authn.Identity{Subject: tenant + "1", Scheme: "keyed"}.Kept(k, authn.Keep{Lease: always{}, Check: k.check}), nil
}

// The comparison finds each way in which a kept identity can be used for the wrong request, and
// nothing in a correct scheme.
func TestKeptDiffers(t *testing.T) {
	suite := func(wrong string) *World {
		return &World{Scheme: &keyed{wrong}, Good: func(r *http.Request) {
			r.Header.Set("X-Api-Key", "good")
			r.Header.Set("X-Tenant", "t")
		}}
	}
	if found := keptDiffers(suite("")); len(found) != 0 {
		t.Errorf("a good scheme: %s", found)
	}
	for _, wrong := range []string{"tenant", "doubled", "plain http", "address", "host", "method"} {
		if found := keptDiffers(suite(wrong)); len(found) == 0 {
			t.Errorf("%s: nothing found", wrong)
		}
	}
}
