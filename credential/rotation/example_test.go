package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Exchange a refresh token, and detect its reuse. Without a grace period, the second use of a token
// revokes the family.
func Example() {
	ctx := context.Background()
	db := memory.New(nil)
	if err := db.CreateUser(ctx, storage.User{ID: "u1", Name: "alice", Active: true}); err != nil {
		fmt.Println(err)
		return
	}
	rotator, err := rotation.New(db, &rotation.Options{Idle: 24 * time.Hour, Absolute: 30 * 24 * time.Hour, Block: 10 * time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	epoch, err := db.SubjectEpoch(ctx, "u1")
	if err != nil {
		fmt.Println(err)
		return
	}
	family := storage.Family{ID: "f1", Purpose: "example", Subject: "u1", Epoch: epoch}
	if _, err := rotator.Begin(ctx, family, "first-token"); err != nil { // use random tokens
		fmt.Println(err)
		return
	}

	mint := func(context.Context, storage.RefreshState, time.Time) ([]byte, string, error) {
		return []byte("response with second-token"), "second-token", nil
	}
	use := rotation.Use{Secret: "first-token", Purpose: "example"}
	result, err := rotator.Rotate(ctx, use, mint)
	fmt.Println(string(result.Answer), err)
	_, err = rotator.Rotate(ctx, use, mint)
	fmt.Println(errors.Is(err, rotation.ErrReused))
	// Output:
	// response with second-token <nil>
	// true
}
