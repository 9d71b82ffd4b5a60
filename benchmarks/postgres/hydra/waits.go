//go:build linux

package hydra

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// watch counts what the sessions of a database do, 20 times per second, until stop is called.
func watch(ctx context.Context, url, database string, into map[string]int) (stop func() error, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	quit, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				ended <- nil
				return
			case <-tick.C:
			}
			if err := count(ctx, conn, database, into); err != nil {
				ended <- err
				return
			}
		}
	}()
	return func() error {
		close(quit)
		err := <-ended
		return cmp.Or(err, conn.Close(context.WithoutCancel(ctx)))
	}, nil
}

// The two states that are not a wait event of PostgreSQL.
const (
	running = "running"
	between = "server, in a transaction"
)

func count(ctx context.Context, conn *pgx.Conn, database string, into map[string]int) error {
	rows, err := conn.Query(ctx, `SELECT CASE WHEN state <> 'active' THEN $2 ELSE COALESCE(wait_event_type || ' ' || wait_event, $3) END, COUNT(*)
		FROM pg_stat_activity WHERE datname = $1 AND state IN ('active', 'idle in transaction') GROUP BY 1`, database, between, running)
	if err != nil {
		return err
	}
	var what string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&what, &n}, func() error {
		if what != "Client ClientRead" { // the answer was sent
			into[what] += n
		}
		return nil
	})
	return err
}

// mostly names what the sessions did most of the time.
func (s *Sample) mostly() string {
	total := 0
	for _, n := range s.Waits {
		total += n
	}
	var list []string
	for _, what := range slices.SortedFunc(maps.Keys(s.Waits), func(a, b string) int { return cmp.Or(s.Waits[b]-s.Waits[a], strings.Compare(a, b)) }) {
		if share := 100 * s.Waits[what] / total; share >= 10 && len(list) < 3 {
			list = append(list, fmt.Sprintf("%s %d %%", what, share))
		}
	}
	return cmp.Or(strings.Join(list, ", "), "–")
}
