package main

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// rsaKey is the RSA key of all servers of this process: to generate one takes longer than most
// tests. TestStartTogether and TestReplicas have servers that make their own.
var rsaKey = sync.OnceValues(func() (*jose.Key, error) { return jose.Generate(jose.RS256) })

// testServer is newServer over a database that gets rsaKey first, if it has no key of the OAuth 2.0
// issuer yet.
func testServer(t testing.TB, cfg *config, db cached.Base, ring *keys.Ring) (http.Handler, error) {
	t.Helper()
	const purpose = "jwt " + issuer + "/oauth2"
	list, err := db.ListSigningKeys(t.Context(), purpose)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		key, err := rsaKey()
		if err != nil {
			return nil, err
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		row := storage.SigningKey{ID: key.ID(), Purpose: purpose, Algorithm: string(key.Algorithm()), Created: now, SignsFrom: now}
		if row.MasterID, row.Sealed, err = key.Seal(ring, purpose); err != nil {
			return nil, err
		}
		if err := db.CreateSigningKey(t.Context(), row, ""); err != nil {
			return nil, err
		}
	}
	if cfg.HealthClock == nil { // each check is a new one, so that no test waits until the last one is old
		var hours atomic.Int64
		cfg.HealthClock = func() time.Time { return time.Unix(0, 0).Add(time.Duration(hours.Add(1)) * time.Hour) }
	}
	return newServer(t.Context(), cfg, db, ring)
}
