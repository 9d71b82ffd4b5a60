package django_test

import (
	"fmt"

	"github.com/vestibule-auth/vestibule/django"
)

// Verify a token of django-rest-knox against a row of its table.
func ExampleKnoxHash() {
	hash, err := django.NewKnoxHash(django.Knox5, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	const token = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	fmt.Println(hash.TokenKey(token)) // look up the rows with this token_key
	digest, err := hash.Digest(token, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(hash.Matches(token, "", digest), hash.Matches("another", "", digest))
	// Output:
	// 0123456789abcde
	// true false
}
