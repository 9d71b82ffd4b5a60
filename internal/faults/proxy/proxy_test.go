package proxy_test

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/proxy"
)

// patience bounds what must happen; silence is how long nothing must.
const (
	patience = 10 * time.Second
	silence  = 100 * time.Millisecond
)

// server answers each message of a connection with answer(message).
type server struct {
	net.Listener
	mu  sync.Mutex
	got []string
}

func serve(t *testing.T, reader func() func(io.Reader) (string, error), answer func(string) string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				next := reader()
				for {
					m, err := next(c)
					if err != nil {
						return
					}
					s.mu.Lock()
					s.got = append(s.got, m)
					s.mu.Unlock()
					if _, err := io.WriteString(c, answer(m)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return s
}

func (s *server) received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func four() func(io.Reader) (string, error) {
	return func(r io.Reader) (string, error) {
		b := make([]byte, 4)
		_, err := io.ReadFull(r, b)
		return string(b), err
	}
}

func start(t *testing.T, s *server, postgres bool) *proxy.Proxy {
	t.Helper()
	p, err := proxy.New(s.Addr().String(), postgres)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// reads checks what arrives within patience.
func reads(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v, want %q", b, err, want)
	}
}

// quiet checks that nothing arrives and the connection stays open.
func quiet(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(silence))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !os.IsTimeout(err) {
		t.Fatalf("read %d bytes, %v", n, err)
	}
}

// closed checks that the connection ends.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
		t.Fatalf("read %d bytes, %v, want the end", n, err)
	}
}

func echo(m string) string { return m }

func TestModes(t *testing.T) {
	s := serve(t, four, echo)
	p := start(t, s, false)
	c := dial(t, p)
	send(t, c, "ping")
	reads(t, c, "ping")

	p.Set(proxy.Hold, proxy.Pass)
	send(t, c, "held")
	quiet(t, c)
	if s.received() != 1 {
		t.Error("the server received what is held")
	}
	p.Reset()
	reads(t, c, "held")

	p.Set(proxy.Pass, proxy.Hold)
	send(t, c, "down")
	quiet(t, c)
	if s.received() != 3 {
		t.Error("the server did not receive it")
	}
	p.Reset()
	reads(t, c, "down")

	p.Set(proxy.Drop, proxy.Pass)
	send(t, c, "gone")
	quiet(t, c)
	p.Reset()
	send(t, c, "next")
	reads(t, c, "next")

	p.Delay(2 * silence)
	begin := time.Now()
	send(t, c, "slow")
	reads(t, c, "slow")
	if d := time.Since(begin); d < 4*silence {
		t.Errorf("both directions took %v", d)
	}
	p.Reset()

	p.Refuse(true)
	closed(t, dial(t, p))
	send(t, c, "kept")
	reads(t, c, "kept")
	p.Reset()

	p.CutAfter(12) // a message, its answer and the next one
	send(t, c, "once")
	reads(t, c, "once")
	send(t, c, "more")
	closed(t, c)

	c = dial(t, p)
	send(t, c, "back")
	reads(t, c, "back")
	p.Cut()
	closed(t, c)
}

// message returns one of PostgreSQL's; without a type it is a client's first.
func message(kind, text string) string {
	return kind + string(binary.BigEndian.AppendUint32(nil, uint32(len(text)+4))) + text
}

// backend reads messages as a PostgreSQL server does: the first one has no type.
func backend() func(io.Reader) (string, error) {
	typed := 0
	return func(r io.Reader) (string, error) {
		head := make([]byte, typed+4)
		if _, err := io.ReadFull(r, head); err != nil {
			return "", err
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[typed:])-4)
		_, err := io.ReadFull(r, rest)
		kind := string(head[:typed])
		typed = 1
		return kind + string(rest), err
	}
}

const startup = "\x00\x03\x00\x00user\x00postgres\x00\x00"

func TestCommit(t *testing.T) {
	answer := func(m string) string {
		switch m {
		case startup:
			return message("R", "\x00\x00\x00\x00")
		case "Qcommit\x00":
			return message("C", "COMMIT\x00")
		}
		return message("C", "SELECT 1\x00")
	}
	for name, x := range map[string]struct {
		after   bool
		applied int // messages that the server received
	}{"before the server received it": {false, 2}, "after the server answered": {true, 3}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, backend, answer)
			p := start(t, s, true)
			connect := func() net.Conn {
				c := dial(t, p)
				send(t, c, message("", startup))
				reads(t, c, answer(startup))
				return c
			}
			c := connect()
			p.CutCommits(1, x.after)
			send(t, c, message("Q", "select 1\x00"))
			reads(t, c, answer(""))
			send(t, c, message("Q", "commit\x00"))
			closed(t, c)
			if got := s.received(); got != x.applied || p.Commits() != 1 {
				t.Errorf("the server received %d messages, want %d; %d commits cut", got, x.applied, p.Commits())
			}
			c = connect()
			send(t, c, message("Q", "commit\x00")) // only one is cut
			reads(t, c, answer("Qcommit\x00"))
		})
	}
	t.Run("what is no message ends the connection", func(t *testing.T) {
		s := serve(t, backend, answer)
		c := dial(t, start(t, s, true))
		send(t, c, "\xff\xff\xff\xff")
		closed(t, c)
		if s.received() != 0 {
			t.Error("it was forwarded")
		}
	})
}
