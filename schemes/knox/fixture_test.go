package knox_test

import (
	"context"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

type store = storagetest.Store

// born is the start time of a test's clock.
var born = schemetest.Born()

// each runs f with each kind of store.
func each(t *testing.T, f func(t *testing.T, s store)) { schemetest.Each(t, schemetest.Born, f) }

func scheme(t testing.TB, s knox.Store, opts *knox.Options) *knox.Scheme {
	t.Helper()
	x, err := knox.New(s, opts)
	schemetest.Must(t, err)
	return x
}

// issue creates a token for the subject with its current epoch.
func issue(t testing.TB, x *knox.Scheme, subject string, spec knox.Token) (string, storage.Credential) {
	t.Helper()
	epoch, err := x.CurrentEpoch(context.Background(), subject)
	schemetest.Must(t, err)
	text, rec, err := x.Issue(context.Background(), subject, epoch, spec)
	schemetest.Must(t, err)
	return text, rec
}

// refused reports whether the token is rejected with the text for invalid tokens.
func refused(t testing.TB, x *knox.Scheme, text string) bool {
	t.Helper()
	return schemetest.Refused(t, x, "Knox "+text)
}

// reads are the store methods that find a token.
func reads() []string { return []string{"CredentialByDigest", "ListCredentials"} }

// login returns the body of a login request.
const login = `{"username":"alice","password":"x"}`
