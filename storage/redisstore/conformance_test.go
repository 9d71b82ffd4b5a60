package redisstore_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func conformance(t *testing.T, client func() redis.UniversalClient) {
	c := client()
	t.Run("replays", func(t *testing.T) {
		storagetest.RunParts(t, func(t *testing.T) storagetest.Opened {
			return storagetest.Opened{Store: open(t, c, prefix()), Beside: memory.New(nil)}
		}, storagetest.Replays)
	})
	t.Run("sessions", func(t *testing.T) {
		storagetest.RunParts(t, func(t *testing.T) storagetest.Opened {
			base := memory.New(nil)
			return storagetest.Opened{Store: sessionsOver(t, c, base), Beside: base}
		}, storagetest.Sessions, storagetest.SessionList)
	})
}

// The same with the database that decides in production.
func TestSessionsOverPostgreSQL(t *testing.T) {
	c := redistest.Start(t).Client()
	storagetest.RunParts(t, func(t *testing.T) storagetest.Opened {
		base := storetest.Postgres(t, &gormstore.Options{Timeout: 20 * time.Second})
		return storagetest.Opened{Store: sessionsOver(t, c, base), Beside: base}
	}, storagetest.Sessions, storagetest.SessionList)
}

func sessionsOver(t testing.TB, client redis.UniversalClient, base redisstore.Base) *redisstore.Sessions {
	t.Helper()
	return sessionsAt(t, client, base, prefix())
}

func sessionsAt(t testing.TB, client redis.UniversalClient, base redisstore.Base, prefix string) *redisstore.Sessions {
	t.Helper()
	s, err := redisstore.NewSessions(open(t, client, prefix), base)
	must(t, err)
	return s
}
