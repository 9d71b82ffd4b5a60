package redisstore_test

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

func Example() {
	store, err := openRedis(context.Background(), "redis.internal:6379")
	if err != nil {
		panic(err)
	}
	_ = store // for limits, proofs and sessions
}

// #region open

func openRedis(ctx context.Context, addr string) (*redisstore.Store, error) {
	client := redis.NewClient(&redis.Options{
		Addr:                  addr,
		ContextTimeoutEnabled: true, // required
	})
	store, err := redisstore.New(client, nil)
	if err != nil {
		return nil, err
	}
	if err := store.Check(ctx); err != nil {
		slog.Warn("unsafe or absent Redis", "error", err)
	}
	return store, nil
}

// #endregion open

// #region limits

func newLimits(store *redisstore.Store, ring *keys.Ring) (authn.LoginLimiter, error) {
	shared, err := throttle.NewShared(store, throttle.Replicas(3), nil)
	if err != nil {
		return nil, err
	}
	_, nameKey := ring.Newest(keys.ThrottleNames)
	_, deviceKey := ring.Newest(keys.DeviceCookie)
	return throttle.NewLogin(shared, &throttle.LoginOptions{
		NameKey:   nameKey[:], // required
		DeviceKey: deviceKey[:],
	})
}

// #endregion limits

// #region proofs

func newProofs(store *redisstore.Store) (*dpop.Verifier, error) {
	return dpop.New("https://app.example", store, nil)
}

// #endregion proofs

// #region sessions

// newSessions returns sessions whose content is in Redis. db is the database, or a cache in front of
// it.
func newSessions(store *redisstore.Store, db *cached.Store, site *csrf.Site) (*session.Scheme, error) {
	content, err := redisstore.NewSessions(store, db)
	if err != nil {
		return nil, err
	}
	rows := struct {
		*redisstore.Sessions
		storage.Families    // for remembered logins
		storage.Permissions // for HasPerm
	}{content, db, db}
	return session.New(rows, site, nil)
}

// #endregion sessions

// #region sentinel

func sentinel(addrs ...string) redis.UniversalClient {
	return redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "auth", SentinelAddrs: addrs, ContextTimeoutEnabled: true,
	})
}

// #endregion sentinel

// #region cluster

func cluster(addrs ...string) redis.UniversalClient {
	return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})
}

// #endregion cluster

var _ = []any{newLimits, newProofs, newSessions, sentinel, cluster}
