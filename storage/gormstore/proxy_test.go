package gormstore_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// proxy stands between a store and its server. It can be slow, and it can cut a
// connection when the client has sent a text: before the server got it, or after
// the server answered it.
type proxy struct {
	net.Listener
	server string
	mu     sync.Mutex
	delay  time.Duration
	text   string
	after  bool
	cuts   int
	held   chan struct{} // closed when bytes pass again; nil if they pass
	end    chan struct{}
}

// through puts a proxy before the server of a URL.
func through(t *testing.T, server string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, server: u.Host, end: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		close(p.end)
		l.Close()
		wg.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) set(delay time.Duration, text string, after bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.text, p.after, p.cuts = delay, text, after, 0
}

// hold lets no byte pass, in either direction, until pass is called. Connections stay open.
func (p *proxy) hold() (pass func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := make(chan struct{})
	p.held = held
	return sync.OnceFunc(func() {
		p.mu.Lock()
		p.held = nil
		p.mu.Unlock()
		close(held)
	})
}

// wait waits while bytes are held.
func (p *proxy) wait() {
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	if held == nil {
		return
	}
	select {
	case <-held:
	case <-p.end:
	}
}

// cut reports how often it cut since set.
func (p *proxy) cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var wg sync.WaitGroup
	cutting := make(chan struct{}) // the next answer goes nowhere
	wg.Go(func() {
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			p.wait()
			select {
			case <-cutting:
				return
			default:
			}
			if err != nil {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			break
		}
		p.wait()
		p.mu.Lock()
		delay, hit, after := p.delay, p.text != "" && bytes.Contains(buf[:n], []byte(p.text)), p.after
		if hit {
			p.cuts++
			p.text = "" // once
		}
		p.mu.Unlock()
		if hit && !after {
			client.Close()
			break
		}
		if hit {
			close(cutting)
		}
		pause := time.NewTimer(delay)
		select {
		case <-pause.C:
		case <-p.end:
		}
		if _, err := server.Write(buf[:n]); err != nil {
			break
		}
		if hit { // the server answers, nobody hears it
			wg.Wait()
			return
		}
	}
	server.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, client)
	server.Close()
	wg.Wait()
}
