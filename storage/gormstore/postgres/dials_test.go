package postgres_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// door stands before a PostgreSQL server and passes the first bytes of each connection on only after
// a while.
type door struct {
	url        string
	open, most atomic.Int64 // connections now, and at most
}

func (d *door) enter() {
	n := d.open.Add(1)
	for most := d.most.Load(); n > most && !d.most.CompareAndSwap(most, n); most = d.most.Load() {
	}
}

// behind returns a door whose connections take a while; a negative one means for ever.
func behind(t *testing.T, server string, while time.Duration) *door {
	t.Helper()
	u, err := url.Parse(server)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	d := &door{}
	end, host := make(chan struct{}), u.Host
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			d.enter()
			all.Go(func() {
				defer d.open.Add(-1)
				defer client.Close()
				gone := make(chan struct{})
				var up net.Conn
				wait := time.NewTimer(max(while, 0))
				defer wait.Stop()
				if while >= 0 {
					select {
					case <-wait.C:
					case <-end:
						return
					}
					if up, err = net.Dial("tcp", host); err != nil {
						return
					}
					defer up.Close()
					go func() { _, _ = io.Copy(client, up); client.Close() }()
				}
				go func() {
					defer close(gone)
					if up == nil {
						_, _ = io.Copy(io.Discard, client)
					} else {
						_, _ = io.Copy(up, client)
					}
				}()
				select {
				case <-gone:
				case <-end:
				}
			})
		}
	})
	t.Cleanup(func() { close(end); l.Close(); all.Wait() })
	u.Host = l.Addr().String()
	d.url = u.String()
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const timeout = 300 * time.Millisecond

func ask(s *gormstore.Store) error {
	_, _, err := s.StaticTokenByDigest(context.Background(), storage.DigestOf("x"))
	return err
}

// A new connection takes three times as long as a call may. The call returns a fault at its own
// deadline, and a later call gets the connection, so a pool that has become empty fills again.
func TestPoolRecoversFromSlowConnections(t *testing.T) {
	t.Run("attack_218_slow_connections", func(t *testing.T) {
		server := pgtest.URL(t)
		direct, err := postgres.Open(server, nil)
		must(t, err)
		defer direct.Close()
		must(t, direct.Migrate(t.Context()))

		d := behind(t, server, 3*timeout)
		s, err := postgres.Open(d.url, &gormstore.Options{Timeout: timeout})
		must(t, err)
		defer s.Close()
		begun := time.Now()
		if err := ask(s); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("the first call:", err)
		}
		if took := time.Since(begun); took > 2*timeout+time.Second {
			t.Errorf("the first call took %v", took)
		}
		for err = ask(s); !errors.Is(err, storage.ErrNotFound); err = ask(s) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal("a later call:", err)
			}
			if time.Since(begun) > 15*time.Second {
				t.Fatal("no call has succeeded in 15 seconds")
			}
		}
		for range 5 {
			if err := ask(s); !errors.Is(err, storage.ErrNotFound) {
				t.Error("over the connection that there is:", err)
			}
		}
	})
}

// A server that answers no connection costs a bounded number of them, however many calls come, and
// closing the store ends them.
func TestDialsAreBounded(t *testing.T) {
	t.Run("attack_218_no_answer", func(t *testing.T) {
		before := runtime.NumGoroutine()
		d := behind(t, pgtest.URL(t), -1)
		s, err := postgres.Open(d.url, &gormstore.Options{Timeout: timeout})
		must(t, err)
		var all sync.WaitGroup
		for range 60 {
			all.Go(func() {
				for range 2 {
					if err := ask(s); !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if most := d.most.Load(); most > 8 || most == 0 {
			t.Errorf("%d connections at once, want at most 8", most)
		}
		must(t, s.Close())
		for begun := time.Now(); d.open.Load() > 0 || runtime.NumGoroutine() > before+3; runtime.Gosched() {
			if time.Since(begun) > 10*time.Second {
				t.Fatalf("%d connections and %d goroutines are left of %d", d.open.Load(), runtime.NumGoroutine(), before)
			}
		}
		if err := ask(s); err == nil || errors.Is(err, storage.ErrNotFound) {
			t.Error("after Close:", err)
		}
	})
}

// Of many callers that need a new connection at once, each gets one, although a caller may get the
// connection that another began.
func TestEachCallerGetsAConnection(t *testing.T) {
	for range 20 {
		s, err := postgres.Open(pgtest.URL(t), &gormstore.Options{Timeout: 10 * time.Second})
		must(t, err)
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				for range 3 {
					if err := s.InTx(t.Context(), func(ctx context.Context) error { return ping(ctx, s) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		must(t, s.Close())
		if t.Failed() {
			return
		}
	}
}

// ping asks the server for nothing.
func ping(ctx context.Context, s *gormstore.Store) error {
	var one int
	return s.DB(ctx).Raw("SELECT 1").Row().Scan(&one)
}

// The time zone of the URL is that of the session, and of columns without one.
func TestTimeZoneOfURL(t *testing.T) {
	s, err := postgres.Open(pgtest.URL(t)+"&timezone=Asia/Tokyo", nil)
	must(t, err)
	defer s.Close()
	var at time.Time
	must(t, s.DB(t.Context()).Raw("SELECT TIMESTAMP '2026-01-02 03:00:00'").Row().Scan(&at))
	if _, offset := at.Zone(); offset != 9*3600 {
		t.Error(at)
	}
	if s, err = postgres.Open(pgtest.URL(t)+"&timezone=Nowhere/Land", nil); err == nil {
		defer s.Close()
		err = ask(s)
	}
	if err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Error("an unknown time zone:", err)
	}
}
