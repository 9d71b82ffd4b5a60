package keys_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/vestibule-auth/vestibule/keys"
)

// Derive a key for a purpose, and find it again by the ID of its master key.
func Example() {
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		fmt.Println(err)
		return
	}
	id, key := ring.Newest(keys.CSRF)
	again, ok := ring.ByID(keys.CSRF, id) // later, with the stored ID
	fmt.Println(ok, again == key, key)
	// Output: true true [redacted]
}

// The first start creates the key file; later starts load it.
func ExampleCreate() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "master.key")
	for range 2 {
		_, made, err := keys.Create(path)
		fmt.Println(made, err)
	}
	// Output:
	// true <nil>
	// false <nil>
}

// Read the master key from an environment variable.
func ExampleParseHex() {
	_, err := keys.ParseHex("password")
	fmt.Println(err)
	// Output: keys: Parse: line 1 is not a key (64 hexadecimal digits)
}
