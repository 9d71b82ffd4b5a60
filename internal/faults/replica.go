//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/proxy"
)

// replica is one server process with links of its own to everything that it needs.
type replica struct {
	name              string
	db, listen, redis *proxy.Proxy
	args              []string
	env               []string
	program, log      string
	url               string // see dial
	p                 *process

	issuing    sync.RWMutex // held while a JWT is issued
	wrongClock atomic.Bool
}

var errSilent = errors.New("it did not say where it listens")

// socket is where the replica listens. All replicas have the same public name then, as behind a
// balancer; on ports each would be an issuer of its own.
func (r *replica) socket() string { return filepath.Join(filepath.Dir(r.log), r.name+".sock") }

func (r *replica) controlSocket() string {
	return filepath.Join(filepath.Dir(r.log), r.name+".control")
}

// start starts the server and waits for the line that says where it serves.
func (r *replica) start() error {
	cmd := exec.Command(r.program, append([]string{"-addr", "unix:" + r.socket()}, r.args...)...)
	cmd.Env = append(append(os.Environ(), "VESTIBULE_CONTROL="+r.controlSocket()), r.env...)
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout = in
	r.p, err = start(cmd, r.log, nil)
	in.Close()
	if err != nil {
		return err
	}
	_ = out.SetReadDeadline(time.Now().Add(60 * time.Second))
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "listening on ") {
		r.p.kill()
		return fmt.Errorf("replica %s does not serve: %w; see %s", r.name, errors.Join(err, errSilent), r.log)
	}
	return nil
}

// dial connects to the replica that a URL of the form http://127.0.0.1:PORT means: the port is its
// number.
func (w *world) dial(ctx context.Context, addr string) (net.Conn, error) {
	for _, r := range w.all {
		if "http://"+addr == r.url {
			return new(net.Dialer).DialContext(ctx, "unix", r.socket())
		}
	}
	return nil, fmt.Errorf("no replica is %s", addr)
}

// restart starts a server that was killed. The database may be away: it tries until it serves.
func (r *replica) restart() error { return wait(60*time.Second, r.start) }

func (r *replica) stop() { send(syscall.SIGSTOP, r.p.pid) }
func (r *replica) cont() { send(syscall.SIGCONT, r.p.pid) }

// proxies returns the links of the replica.
func (r *replica) proxies() (list []*proxy.Proxy) {
	for _, p := range []*proxy.Proxy{r.db, r.listen, r.redis} {
		if p != nil { // else it could not be started
			list = append(list, p)
		}
	}
	return list
}

// newReplica makes a replica with its proxies; start starts it.
func (w *world) newReplica(name string, env ...string) (*replica, error) {
	r := &replica{name: name, env: env, program: w.program, log: filepath.Join(w.dir, "replica-"+name+".log"),
		url: fmt.Sprintf("http://127.0.0.1:%d", len(w.all)+1)}
	w.all = append(w.all, r)
	var errs [3]error
	r.db, errs[0] = proxy.New(w.db.addr(), true)
	r.listen, errs[1] = proxy.New(w.db.addr(), true)
	r.redis, errs[2] = proxy.New(w.redis.addr(), false)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	r.args = []string{
		"-db", w.db.url(r.db.Addr()), "-redis", "redis://" + r.redis.Addr(), "-replicas", "3",
		"-courier", w.courier, "-key", w.key, "-cache", "1h", "-login-rate", "off", "-demo", "-origin", "https://" + public, "-proxies", "unix",
		"-jwt-access-ttl", "12h", "-refresh-grace", "0s", "-knox-ttl", "48h",
	}
	if w.courier == "notify" {
		r.args = append(r.args, "-listen-db", w.db.url(r.listen.Addr()))
	}
	for _, u := range w.users {
		r.args = append(r.args, "-user", u.name+":"+u.password)
	}
	return r, nil
}
