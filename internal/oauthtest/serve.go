package oauthtest

import (
	"context"
	"log/slog"

	"github.com/vestibule-auth/vestibule/authn/audit"
)

// Beside returns a world with another server of the same issuer over the same store and clients.
func (w *World) Beside(change func(*Options)) *World {
	w.T.Helper()
	x := &World{T: w.T, DB: w.DB, Secrets: w.Secrets}
	x.Elapsed.Store(w.Elapsed.Load())
	x.N.Store(w.N.Load() + 1000)
	x.serve(change)
	return x
}

func (w *World) serve(change func(*Options)) {
	w.T.Helper()
	o := Options{
		Scopes: map[string]string{"read": "Read", "write": "Write", "admin": "All"}, Audience: "https://api.example",
		Clock: w.Clock, Logger: slog.New(slog.NewTextHandler(&locked{w: w}, nil)), InsecureNoLimits: true, // many requests from one address
		Audit: audit.To(func(_ context.Context, e audit.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		}),
	}
	if change != nil {
		change(&o)
	}
	var err error
	w.Server, err = New(Issuer, w.DB, &o)
	Must(w.T, err)
}
