//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// command sends a line to the control socket of the replica's test build, and returns its number.
func (r *replica) command(format string, args ...any) (int, error) {
	c, err := net.DialTimeout("unix", r.controlSocket(), 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, format+"\n", args...)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("replica %s: control: %w", r.name, err)
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

func (r *replica) goroutines() (int, error) { return r.command("goroutines") }

// setClock sets the replica's wall clock ahead of the system's, or back to it with 0. No JWT is
// issued meanwhile: the others reject one from the future, by design.
func (r *replica) setClock(ahead time.Duration) error {
	r.issuing.Lock() // waits for logins that run
	defer r.issuing.Unlock()
	r.wrongClock.Store(true)
	_, err := r.command("clock %d", int(ahead.Seconds()))
	r.wrongClock.Store(ahead != 0)
	return err
}

// issueJWT reports whether the replica's clock is right. If so, it stays right until done is called.
func (r *replica) issueJWT() (done func(), ok bool) {
	r.issuing.RLock()
	if r.wrongClock.Load() {
		r.issuing.RUnlock()
		return nil, false
	}
	return r.issuing.RUnlock, true
}
