package basic_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Authenticate by name and password, with verified passwords cached for up to a minute.
func Example() {
	hasher, err := password.NewHasher(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	checker, err := password.New(memory.New(nil), hasher, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = checker.Register(context.Background(), password.NewUser{ID: "u1", Name: "alice", Password: "down-the-rabbit-hole"})
	if err != nil {
		fmt.Println(err)
		return
	}
	cached, err := password.Cached(checker, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	scheme, err := basic.New(cached, &basic.Options{Realm: "notes"})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth("alice", "down-the-rabbit-hole")
	id, err := authn.Chain{scheme}.Authenticate(r)
	fmt.Println(id.Subject, id.Scheme, err)
	// Output: u1 basic <nil>
}
