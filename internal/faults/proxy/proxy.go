// Package proxy stands between a client and a server on one machine and fails as networks do: it
// delays, drops, holds and cuts. For PostgreSQL it knows COMMIT, whose lost answer is the hardest
// case: the client cannot know whether the change holds.
package proxy

import (
	"io"
	"net"
	"sync"
	"time"
)

// Mode is what happens to the bytes of one direction.
type Mode uint8

// The modes.
const (
	Pass Mode = iota
	Hold      // kept, and delivered when the mode changes; connections stay open
	Drop      // read and thrown away; connections stay open
)

// Proxy listens on a port of its own and forwards to one server. Its methods are safe for concurrent
// use.
type Proxy struct {
	l        net.Listener
	server   string
	postgres bool
	wg       sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	closed   bool
	refuse   bool
	up, down Mode
	delay    time.Duration
	budget   int64 // bytes until all is cut; below 0: never
	commit   commitCut
	cuts     int // commits that were cut
	conns    map[net.Conn]bool
}

type commitCut struct {
	left  int // how many commits are still to be cut
	after bool
}

// New starts a proxy before the server at an address. With postgres it frames PostgreSQL's messages,
// without TLS.
func New(server string, postgres bool) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{l: l, server: server, postgres: postgres, budget: -1, conns: map[net.Conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	return p, nil
}

// Addr returns the address to connect to.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Close ends all connections and waits for its goroutines.
func (p *Proxy) Close() {
	p.set(func() { p.closed = true })
	p.l.Close()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	change()
	p.mu.Unlock()
	p.changed.Broadcast()
}

// Reset lets everything pass again. What was held is delivered.
func (p *Proxy) Reset() {
	p.set(func() {
		p.up, p.down, p.delay, p.refuse, p.budget, p.commit = Pass, Pass, 0, false, -1, commitCut{}
	})
}

// Set changes what happens to the bytes to the server (up) and from it (down).
func (p *Proxy) Set(up, down Mode) { p.set(func() { p.up, p.down = up, down }) }

// Delay holds each piece of data for d, in both directions.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Refuse closes new connections immediately. Those that exist stay.
func (p *Proxy) Refuse(on bool) { p.set(func() { p.refuse = on }) }

// CutAfter cuts all connections when n more bytes have passed, in both directions together.
func (p *Proxy) CutAfter(n int64) { p.set(func() { p.budget = n }) }

// CutCommits cuts the connection of each of the next n commits. With after the server has answered
// the commit, and the client does not receive the answer; otherwise the server does not receive the
// commit.
func (p *Proxy) CutCommits(n int, after bool) { p.set(func() { p.commit = commitCut{n, after} }) }

// Commits returns how many commits were cut since New.
func (p *Proxy) Commits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.changed.Broadcast()
}

func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		if !p.add(client) {
			client.Close()
			continue
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// add notes a connection. It returns false if there must be none.
func (p *Proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.closed {
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

func (p *Proxy) serve(client net.Conn) {
	defer p.forget(client)
	server, err := net.DialTimeout("tcp", p.server, 2*time.Second)
	if err != nil || !p.add(server) {
		if err == nil {
			server.Close()
		}
		return
	}
	defer p.forget(server)
	link := &link{p: p}
	var both sync.WaitGroup
	both.Go(func() {
		defer client.Close()
		p.copy(client, server, false, link)
	})
	p.copy(server, client, true, link)
	server.Close()
	both.Wait()
}

// copy forwards from one side to the other until one of them ends or the link is cut.
func (p *Proxy) copy(to, from net.Conn, up bool, link *link) {
	next := readSome
	if p.postgres {
		next = (&frames{first: up}).next
	}
	for {
		data, err := next(from)
		if len(data) > 0 {
			if !p.may(up, len(data)) {
				return
			}
			if p.postgres && link.cut(data, up) {
				return
			}
			if p.dropped(up) {
				continue
			}
			if _, err := to.Write(data); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// may waits for the delay and while bytes are held. It returns false if the connection must end.
func (p *Proxy) may(up bool, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.delay; d > 0 {
		p.mu.Unlock()
		time.Sleep(d) // the delay itself
		p.mu.Lock()
	}
	for p.mode(up) == Hold && !p.closed {
		p.changed.Wait()
	}
	if p.budget >= 0 {
		if p.budget -= int64(n); p.budget < 0 {
			p.budget = -1
			for c := range p.conns {
				c.Close()
			}
			return false
		}
	}
	return !p.closed
}

func (p *Proxy) mode(up bool) Mode {
	if up {
		return p.up
	}
	return p.down
}

func (p *Proxy) dropped(up bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode(up) == Drop
}

func readSome(from io.Reader) ([]byte, error) {
	buf := make([]byte, 32<<10)
	n, err := from.Read(buf)
	return buf[:n], err
}
