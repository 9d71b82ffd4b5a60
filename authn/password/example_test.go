package password_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Register an account and check its password.
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
	_, err = checker.Register(context.Background(), password.NewUser{Name: "Alice", Password: "down-the-rabbit-hole"})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("POST", "/login", nil)
	login, err := checker.CheckPassword(r, "alice", "down-the-rabbit-hole")
	fmt.Println(login.Name, err)
	_, err = checker.CheckPassword(r, "alice", "something-else")
	fmt.Println(err != nil)
	// Output:
	// alice <nil>
	// true
}

// Verify a hash of an existing Django application. It is outdated, so replace it by a new one.
func ExampleHasher_Verify() {
	hasher, err := password.NewHasher(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	const django = "pbkdf2_sha256$1000$salt$Ancn8hJZ1J487k49PPKlSpW3BKvHCNT6sPjMXZfJvc0="
	ok, outdated, err := hasher.Verify(context.Background(), "", django, "down-the-rabbit-hole")
	fmt.Println(ok, outdated, err)
	// Output: true true <nil>
}

// Cache verified passwords for Basic, which sends the password with every request.
func ExampleCached() {
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
	if _, err = checker.Register(context.Background(), password.NewUser{Name: "alice", Password: "down-the-rabbit-hole"}); err != nil {
		fmt.Println(err)
		return
	}
	cached, err := password.Cached(checker, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	before := hasher.Hashed()
	for range 3 {
		if _, err := cached.CheckPassword(httptest.NewRequest("GET", "/", nil), "alice", "down-the-rabbit-hole"); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("hashes:", hasher.Hashed()-before)
	// Output: hashes: 1
}
