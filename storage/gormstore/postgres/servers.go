package postgres

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// toPrimary refuses connections to standby servers, which have answers of the past, unless the URL says
// something about it. A primary whose transactions are read-only by default is accepted: it can serve
// a program that only reads.
func toPrimary(url string, cfg *pgconn.Config) {
	if cfg.ValidateConnect == nil && !strings.Contains(url, "target_session_attrs") {
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
}

// servers counts how often the server of new connections has changed. It asks for that only once
// somebody is interested.
type servers struct {
	asked atomic.Bool
	n     atomic.Uint64

	mu   sync.Mutex
	last string
}

// changes is gormstore.Options.ServerChanges.
func (s *servers) changes() uint64 {
	s.asked.Store(true)
	return s.n.Load()
}

// connected notes the server of a new connection. If it does not say who it is, it counts as another
// one.
func (s *servers) connected(ctx context.Context, conn *pgx.Conn) {
	if !s.asked.Load() {
		return
	}
	results, err := conn.PgConn().Exec(ctx, "SELECT pg_postmaster_start_time(), pg_is_in_recovery(), "+server).ReadAll()
	var is string
	if err == nil && len(results) == 1 && len(results[0].Rows) == 1 {
		for _, v := range results[0].Rows[0] {
			is += string(v) + " "
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if is == "" || s.last != "" && is != s.last {
		s.n.Add(1)
	}
	s.last = is
}
