package jwt_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Issue a token pair, authenticate a request with the access token, and exchange the refresh token.
func Example() {
	ctx := context.Background()
	db := memory.New(nil)
	if err := db.CreateUser(ctx, storage.User{ID: "u1", Name: "alice", Active: true}); err != nil {
		fmt.Println(err)
		return
	}
	key, err := jose.Generate(jose.EdDSA)
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := jose.NewKeySet(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := jwt.New("https://app.example", "https://api.example", set, db, nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	epoch, err := db.SubjectEpoch(ctx, "u1") // Scheme.Login does this for you
	if err != nil {
		fmt.Println(err)
		return
	}
	pair, err := tokens.Issue(ctx, "u1", epoch, &jwt.Grant{Name: "phone"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pair)

	r, err := http.NewRequest("GET", "https://api.example/", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+pair.Access)
	id, err := tokens.Authenticate(r)
	fmt.Println(id.Subject, id.Scheme, err)

	next, repeated, err := tokens.Refresh(ctx, pair.Refresh)
	fmt.Println(next.Refresh != pair.Refresh, repeated, err)
	// Output:
	// [redacted]
	// u1 jwt <nil>
	// true false <nil>
}

// Keep the signing keys in the store, encrypted with a master key, so that all processes share them.
func ExampleNewStoredKeys() {
	ctx := context.Background()
	master, err := keys.NewRing(keys.Generate()) // in production, load the key from a file
	if err != nil {
		fmt.Println(err)
		return
	}
	signing, err := jwt.NewStoredKeys(memory.New(nil), master, "https://app.example", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := signing.Ensure(ctx); err != nil {
		fmt.Println(err)
		return
	}
	list, err := signing.List(ctx)
	fmt.Println(len(list), list[0].Algorithm, err)
	// Output: 1 EdDSA <nil>
}

// Accept the access tokens of an OpenID provider. Its keys are fetched on first use.
func ExampleNewVerifier() {
	set, err := jose.NewRemoteKeySet("https://idp.example/jwks", &jose.RemoteOptions{
		Algorithms: []jose.Algorithm{jose.RS256},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := jwt.NewVerifier("https://idp.example", "https://api.example", set, &jwt.VerifierOptions{
		ScopeClaims: []string{"scp"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := http.NewRequest("GET", "https://api.example/", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verifier.Authenticate(r)
	fmt.Println(err)
	// Output: authn: no credentials
}
