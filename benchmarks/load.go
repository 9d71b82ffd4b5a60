package benchmarks

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Target is a request that a server on this machine is asked again and again.
type Target struct {
	Addr   string // 127.0.0.1:port
	Path   string
	Header string // "Name: value", or ""
	// Want is a part of the body by which a good answer is known.
	Want string
}

// Conns is how many connections ask at a time.
const Conns = 16

// Load asks for that long over Conns connections, which are kept where the server keeps
// them, and returns the good answers per second. The first question comes before that, over
// a connection of its own, and its answer is looked at. Of the others one in a hundred may
// be a 503: a server that has to hash a password again, as its cache says, takes no more
// than it can.
func (t *Target) Load(ctx context.Context, long time.Duration) (float64, error) {
	addr, err := netip.ParseAddrPort(t.Addr)
	if err != nil || !addr.Addr().IsLoopback() {
		return 0, fmt.Errorf("load %q: only on this machine's own addresses", t.Addr)
	}
	header := t.Header
	if header != "" {
		header += "\r\n"
	}
	question := []byte("GET " + t.Path + " HTTP/1.1\r\nHost: " + t.Addr + "\r\nAccept: */*\r\n" + header + "\r\n")
	first := client{addr: t.Addr}
	status, body, err := first.do(question)
	first.close()
	if err == nil && (status != 200 || !bytes.Contains(body, []byte(t.Want))) {
		err = fmt.Errorf("%d %s", status, body)
	}
	if err != nil {
		return 0, fmt.Errorf("GET %s%s: %w", t.Addr, t.Path, err)
	}
	begin := time.Now()
	end := begin.Add(long)
	var good, busy atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, Conns)
	for range Conns {
		wg.Go(func() {
			if err := t.ask(ctx, question, end, &good, &busy); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	rate := float64(good.Load()) / time.Since(begin).Seconds()
	select {
	case err = <-errs:
	default:
		if err = ctx.Err(); err == nil && busy.Load()*100 > good.Load() {
			err = fmt.Errorf("%d answers of %d are 503", busy.Load(), good.Load()+busy.Load())
		}
	}
	if err != nil {
		return 0, fmt.Errorf("GET %s%s: %w", t.Addr, t.Path, err)
	}
	return rate, nil
}

// ask asks until the end over one connection at a time.
func (t *Target) ask(ctx context.Context, question []byte, end time.Time, good, busy *atomic.Int64) error {
	c := client{addr: t.Addr}
	defer c.close()
	for time.Now().Before(end) && ctx.Err() == nil {
		switch status, body, err := c.do(question); {
		case err != nil:
			return err
		case status == 503:
			busy.Add(1)
		case status != 200:
			return fmt.Errorf("%d %s", status, body)
		default:
			good.Add(1)
		}
	}
	return nil
}

// client is the least of an HTTP client, so that little of the time is its own.
type client struct {
	addr string
	conn net.Conn
	r    *bufio.Reader
	body []byte
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *client) do(question []byte) (status int, body []byte, err error) {
	kept := c.conn != nil
	status, body, err = c.once(question)
	if err != nil && kept { // the server may have ended the connection between two questions
		status, body, err = c.once(question)
	}
	return status, body, err
}

func (c *client) once(question []byte) (status int, body []byte, err error) {
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", c.addr, 5*time.Second); err != nil {
			return 0, nil, err
		}
		if c.r == nil {
			c.r = bufio.NewReaderSize(nil, 16<<10)
		}
		c.r.Reset(c.conn)
	}
	c.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err = c.conn.Write(question); err != nil {
		return 0, nil, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 {
		return 0, nil, fmt.Errorf("status line %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	length, closes := -1, false
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		switch name, value, _ := bytes.Cut(line, []byte(":")); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(strings.TrimSpace(string(value))); err != nil || length > 1<<20 {
				return 0, nil, fmt.Errorf("Content-Length:%s", value)
			}
		case bytes.EqualFold(name, []byte("Connection")):
			closes = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	}
	if length < 0 {
		return 0, nil, fmt.Errorf("%d without Content-Length", status)
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	if _, err = io.ReadFull(c.r, c.body); err != nil {
		return 0, nil, err
	}
	if closes {
		c.close()
	}
	return status, c.body, nil
}
