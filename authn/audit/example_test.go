package audit_test

import (
	"context"
	"fmt"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/keys"
)

// Receive the events of all schemes. Pass the Notifier as Options.Audit of each scheme.
func Example() {
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		fmt.Println(err)
		return
	}
	events, err := audit.New(func(_ context.Context, e audit.Event) {
		fmt.Println(e.Kind, e.Outcome, e.Scheme, e.Subject, e.Count) // do not block here
	}, &audit.Options{Keys: ring, Replica: "web-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	events.Notify(context.Background(), audit.Event{Kind: audit.TokenRevoked, Scheme: "knox", Subject: "u1"})
	// Output: token.revoked accepted knox u1 1
}
