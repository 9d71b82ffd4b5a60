package redisstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/storage/redisstore"
)

// proxy is a TCP proxy whose connections can be held: they stay open, and carry nothing.
type proxy struct {
	addr string
	held atomic.Bool
	mu   sync.Mutex
	open []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{addr: l.Addr().String()}
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.open {
			c.Close()
		}
	})
	pump := func(to, from net.Conn, dead *atomic.Bool) {
		buf := make([]byte, 1<<15)
		for {
			n, err := from.Read(buf)
			if p.held.Load() {
				dead.Store(true) // for ever: a new connection is needed
			}
			if dead.Load() && err == nil {
				continue
			}
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				to.Close()
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", target)
			if err != nil {
				c.Close()
				continue
			}
			p.mu.Lock()
			p.open = append(p.open, c, up)
			p.mu.Unlock()
			dead := new(atomic.Bool)
			go pump(up, c, dead)
			go pump(c, up, dead)
		}
	}()
	return p
}

// locked is a buffer for concurrent use.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *locked) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// listener collects what a channel delivers until the test ends.
type listener struct {
	locked
	log locked
}

func listen(t *testing.T, client redis.UniversalClient, prefix string) *listener {
	t.Helper()
	l := new(listener)
	c, err := redisstore.NewChannel(open(t, client, prefix), "changes", &redisstore.ChannelOptions{Logger: slog.New(slog.NewTextHandler(&l.log, nil))})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.Listen(ctx, func(text string) { fmt.Fprintf(l, "%s\n", text) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Listen ended with %v", err)
		}
	})
	return l
}

// arrive publishes texts until one has arrived everywhere.
func arrive(t *testing.T, what string, from *redisstore.Channel, at ...*listener) {
	t.Helper()
	n := 0
	if !redistest.Poll(t, func(ctx context.Context) bool {
		if n++; n%10 == 1 {
			_ = from.Publish(ctx, what) // an error while a server is away
		}
		for _, l := range at {
			if !strings.Contains(l.String(), what+"\n") {
				return false
			}
		}
		return true
	}) {
		t.Errorf("%s never arrived; log %s", what, &at[0].log)
	}
}

func channel(t *testing.T, client func() redis.UniversalClient) {
	at := prefix()
	c, err := redisstore.NewChannel(open(t, client(), at), "changes", nil)
	must(t, err)
	a, b, other := listen(t, client(), at), listen(t, client(), at), listen(t, client(), prefix())
	arrive(t, "one", c, a, b)
	arrive(t, "two", c, a, b)
	if got := other.String(); got != "" {
		t.Errorf("another prefix received %q", got)
	}
}

// A connection on which nothing comes any more, and is not closed, is replaced.
func TestChannelOnABrokenLine(t *testing.T) {
	r := redistest.Start(t)
	p := newProxy(t, r.Addr())
	at := prefix()
	c, err := redisstore.NewChannel(open(t, r.Client(), at), "changes", nil)
	must(t, err)
	through := redis.NewClient(&redis.Options{Addr: p.addr, ContextTimeoutEnabled: true})
	defer through.Close()
	l := listen(t, through, at)
	arrive(t, "before", c, l)
	p.held.Store(true)
	if !redistest.Poll(t, func(context.Context) bool { return strings.Contains(l.log.String(), "redis channel lost") }) {
		t.Fatal("not noticed")
	}
	p.held.Store(false)
	arrive(t, "after", c, l)
	if log := l.log.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, "works again") {
		t.Errorf("log: %s", log)
	}
	r.Kill()
	r.Restart()
	arrive(t, "restarted", c, l)
}

func TestNewChannel(t *testing.T) {
	good := redis.NewClient(&redis.Options{Addr: "192.0.2.1:1", ContextTimeoutEnabled: true})
	defer good.Close()
	s := open(t, good, prefix())
	for _, bad := range []string{"", "a b", "{a}", strings.Repeat("a", 65)} {
		if _, err := redisstore.NewChannel(s, bad, nil); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
	if _, err := redisstore.NewChannel(nil, "a", nil); err == nil {
		t.Error("no store: accepted")
	}
}

var _ io.Writer = (*locked)(nil)
