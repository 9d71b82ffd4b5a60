package benchmarks

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// answerJSON is the handler behind every gate that is served over HTTP.
func answerJSON(w http.ResponseWriter, subject string) {
	if subject == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	text, _ := json.Marshal(struct {
		Username string `json:"username"`
	}{subject})
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// Open is the ID of the server that lets everybody through.
const Open = "open"

// Serve serves the gate of a contender on a free port of this machine until standard input
// ends. It writes one line of JSON, which says where and how to ask.
func Serve(ctx context.Context, id string, in io.Reader, out io.Writer) error {
	env := NewEnv(ctx)
	defer env.Close()
	mux := http.NewServeMux()
	t := Target{Path: "/api/profile", Want: subject}
	if id == Open {
		mux.HandleFunc("GET /api/profile", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, subject) })
	} else {
		c := find(id)
		if c == nil || c.Gate == nil {
			return fmt.Errorf("nothing to serve is called %q", id)
		}
		g, err := c.Gate(env, answerJSON)
		if err != nil {
			return err
		}
		mux.Handle("GET /api/profile", g.Handler)
		for name, values := range g.Good {
			t.Header = name + ": " + values[0]
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	t.Addr = l.Addr().String()
	// Sessions want https. Its price is not what is compared, so each server takes its requests
	// for such.
	secure := new(tls.ConnectionState)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.TLS = secure
		mux.ServeHTTP(w, r)
	})}
	go func() {
		_, _ = io.Copy(io.Discard, in) // until who started this has gone
		srv.Close()
	}()
	if err := json.NewEncoder(out).Encode(t); err != nil {
		return err
	}
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func find(id string) *Contender {
	for _, c := range Contenders() {
		if c.ID() == id {
			return c
		}
	}
	return nil
}

// start runs a program that lives until Env.Close, and returns its first line of output.
func (e *Env) start(cmd *exec.Cmd) (line string, err error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		return "", err
	}
	e.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
	})
	r := bufio.NewReader(stdout)
	line, err = r.ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, stderr)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return strings.TrimSpace(line), nil
}

// serveGate starts this program again, to serve one gate in a process of its own.
func (e *Env) serveGate(id string) (*Target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line, err := e.start(exec.CommandContext(e, self, "serve", id))
	if err != nil {
		return nil, err
	}
	t := new(Target)
	return t, json.Unmarshal([]byte(line), t)
}

// asked is a target with the sample that it fills.
type asked struct {
	target *Target
	sample *Sample
}

// measureHTTP lets the targets take turns.
func measureHTTP(ctx context.Context, list []asked, rounds Rounds, tell Progress) error {
	total, done := len(list)*(rounds.Number+1), 0
	for round := -1; round < rounds.Number; round++ { // one round to get warm
		for i := range list {
			a := list[(i+max(round, 0))%len(list)]
			tell(done, total, a.sample.Section+"/"+a.sample.Group+"/"+a.sample.Name)
			long := rounds.Slot
			if round < 0 {
				long = min(long, 300*time.Millisecond)
			}
			rate, err := a.target.Load(ctx, long)
			if err != nil {
				return fmt.Errorf("%s: %w", a.sample.Name, err)
			}
			if round >= 0 {
				a.sample.Values = append(a.sample.Values, rate)
			}
			done++
		}
	}
	tell(total, total, "http")
	return nil
}

// MeasureGates serves each gate in a process of its own and asks it over HTTP.
func MeasureGates(ctx context.Context, list []*Contender, rounds Rounds, tell Progress) ([]*Sample, error) {
	env := NewEnv(ctx)
	defer env.Close()
	var all []asked
	add := func(id string, s *Sample) error {
		t, err := env.serveGate(id)
		s.Section, s.Unit, s.Allocs, s.Bytes = "gates", "req/s", -1, -1
		all = append(all, asked{t, s})
		return err
	}
	if err := add(Open, &Sample{Group: Open, Name: Open, Note: "asks for nothing"}); err != nil {
		return nil, err
	}
	for _, c := range list {
		if c.Gate == nil {
			continue
		}
		if err := add(c.ID(), &Sample{Group: c.Scheme, Name: c.Name, Module: c.Module, Note: c.Note, Cached: c.Cached}); err != nil {
			return nil, err
		}
	}
	return samplesOf(all), measureHTTP(ctx, all, rounds, tell)
}

func samplesOf(list []asked) []*Sample {
	var out []*Sample
	for _, a := range list {
		out = append(out, a.sample)
	}
	return out
}
