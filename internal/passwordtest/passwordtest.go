// Package passwordtest makes hashers whose hashes take no time, for tests whose subject is
// not the hash. A real one takes about 30 ms of a core, and some packages made a thousand.
package passwordtest

import (
	"reflect"
	"testing"
	"unsafe"

	"github.com/vestibule-auth/vestibule/authn/password"
)

// Weaken lets h make hashes of 8 KiB and one pass. password.NewHasher refuses such parameters,
// and no option of it should be able to ask for them, so they are written behind its back.
func Weaken(h *password.Hasher) *password.Hasher {
	if !testing.Testing() {
		panic("passwordtest: this is no test")
	}
	field := reflect.ValueOf(h).Elem().FieldByName("params")
	params := (*password.Params)(unsafe.Pointer(field.Addr().Pointer()))
	if field.Type() != reflect.TypeFor[password.Params]() || params.Time == 0 {
		panic("passwordtest: password.Hasher has changed")
	}
	*params = password.Params{Memory: 8, Time: 1, Threads: 1}
	return h
}

// New returns a hasher with these options and weak hashes. The parameters of opts are ignored.
func New(t testing.TB, opts *password.HasherOptions) *password.Hasher {
	t.Helper()
	h, err := password.NewHasher(opts)
	if err != nil {
		t.Fatal(err)
	}
	return Weaken(h)
}
