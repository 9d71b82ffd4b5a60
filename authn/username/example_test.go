package username_test

import (
	"fmt"

	"github.com/vestibule-auth/vestibule/authn/username"
)

// Names that differ only in how they are typed have the same normal form.
func ExampleCanonical() {
	for _, typed := range []string{"  Alice ", "ＡＬＩＣＥ", "José", "two words"} {
		name, err := username.Canonical(typed)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(name)
	}
	// Output:
	// alice
	// alice
	// josé
	// Enter a valid username. It may hold letters, digits and @ . + - _ only.
}

func ExampleEmail() {
	fmt.Println(username.Email("Alice@Example.COM"))
	fmt.Println(username.Email("alice@localhost"))
	// Output:
	// Alice@example.com <nil>
	//  Enter a valid email address.
}
