package jose_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
)

// Sign a token and verify it: first the signature, then the registered claims.
func Example() {
	ctx := context.Background()
	key, err := jose.Generate(jose.EdDSA)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := jose.NewKeySet(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	claims := fmt.Sprintf(`{"iss":"https://app.example","aud":"api","sub":"1","jti":"a","iat":%d,"exp":%d}`,
		now.Unix(), now.Add(5*time.Minute).Unix())
	text, err := keys.Sign(ctx, "at+jwt", []byte(claims))
	if err != nil {
		fmt.Println(err)
		return
	}

	token, err := jose.Verify(ctx, text, keys, "at+jwt")
	if errors.Is(err, jose.ErrInvalid) {
		fmt.Println("rejected:", err)
		return
	} else if err != nil { // the keys could not be read
		fmt.Println(err)
		return
	}
	checks := jose.Checks{Issuer: "https://app.example", Audience: "api", Clock: func() time.Time { return now }}
	registered, err := checks.Check(token.Claims)
	if err != nil {
		fmt.Println("rejected:", err)
		return
	}
	fmt.Println(registered.Subject, registered.Expires.Format(time.RFC3339))
	// Output: 1 2026-01-02T03:09:05Z
}

// Fetch the keys of another issuer. The keys are fetched on first use.
func ExampleNewRemoteKeySet() {
	keys, err := jose.NewRemoteKeySet("https://idp.example/jwks", &jose.RemoteOptions{
		Algorithms: []jose.Algorithm{jose.RS256},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = jose.Verify(context.Background(), "not a token", keys, "at+jwt")
	fmt.Println(err)
	// Output: invalid token: not three parts
}

// A new key is published before it signs, so that every verifier knows it in time.
func ExampleNewReloadingKeySet() {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	current, err := jose.Generate(jose.EdDSA)
	if err != nil {
		fmt.Println(err)
		return
	}
	next, err := jose.Generate(jose.EdDSA)
	if err != nil {
		fmt.Println(err)
		return
	}
	load := func(context.Context) ([]jose.TimedKey, error) { // from your store
		return []jose.TimedKey{
			{Key: current, Expires: now.Add(time.Hour)},
			{Key: next, SignsFrom: now.Add(10 * time.Minute)},
		}, nil
	}
	keys, err := jose.NewReloadingKeySet(load, &jose.ReloadingOptions{Clock: func() time.Time { return now }})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := keys.Sign(context.Background(), "at+jwt", []byte(`{"sub":"1"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := jose.Decode(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("signed with the current key:", token.Header.KeyID == current.ID())
	// Output: signed with the current key: true
}
