package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// childEnv names the database of a second process, which is this test binary again.
const childEnv = "VESTIBULE_TEST_OAUTH2_CHILD"

// TestChildProcess serves the endpoints over the parent's database until its standard input
// ends. By itself it does nothing.
func TestChildProcess(t *testing.T) {
	database := os.Getenv(childEnv)
	if database == "" {
		return
	}
	s, err := postgres.Open(database, nil)
	oauthtest.Must(t, err)
	defer s.Close()
	server, err := oauthtest.New(oauthtest.Issuer, s, processOptions(t))
	oauthtest.Must(t, err)
	web := httptest.NewServer(processMux(server))
	defer web.Close()
	fmt.Println("serving", web.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func processOptions(t *testing.T) *oauthtest.Options {
	return &oauthtest.Options{
		Scopes: map[string]string{"read": ""}, Audience: "https://api.example", Session: oauthtest.SessionOf, Keys: oauthtest.NewRing(t, []byte("the master key of two processes!")), DPoP: &oauthtest.DPoP{}, Logger: slog.New(slog.DiscardHandler),
	}
}

func processMux(s *oauthtest.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/token", s.Token())
	mux.Handle("/par", s.PushedAuthorization())
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) { // alice is logged in
		id := authn.Identity{Subject: "id-alice", Scheme: "session", Credential: oauthtest.Login{Session: "s1"}, AuthTime: oauthtest.Born}
		s.Authorize("/login").ServeHTTP(w, authntest.As(r, id))
	})
	return mux
}

// processes are two servers over one PostgreSQL: one of this process, one of another.
type processes struct {
	*oauthtest.World
	bases [2]string
	proof string // of a storm; "" for none
}

func newProcesses(t *testing.T) *processes {
	t.Helper()
	database := storetest.URL(t)
	s, err := postgres.Open(database, nil)
	oauthtest.Must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	oauthtest.Must(t, s.Migrate(t.Context()))
	p := &processes{World: oauthtest.NewDevices(t, s, func(o *oauthtest.Options) {
		o.Keys, o.DPoP = oauthtest.NewRing(t, []byte("the master key of two processes!")), &oauthtest.DPoP{}
	})}
	p.Elapsed.Store(time.Since(oauthtest.Born).Microseconds()) // the child's clock is the real one
	own, err := oauthtest.New(oauthtest.Issuer, s, processOptions(t))
	oauthtest.Must(t, err)
	web := httptest.NewServer(processMux(own))
	t.Cleanup(web.Close)

	child := exec.Command(os.Args[0], "-test.run=^TestChildProcess$", "-test.count=1")
	child.Env = append(os.Environ(), childEnv+"="+database)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	oauthtest.Must(t, err)
	out, err := child.StdoutPipe()
	oauthtest.Must(t, err)
	oauthtest.Must(t, child.Start())
	t.Cleanup(func() {
		in.Close()
		_ = child.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	oauthtest.Must(t, err)
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "serving ")
	if !ok {
		t.Fatalf("the second process says %q", line)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	p.bases = [2]string{web.URL, base}
	return p
}

// storm sends the same form 32 times to each process at once, and returns the answers.
func (p *processes) storm(path, client string, pairs ...string) []oauthtest.Reply {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return p.all(func(ctx context.Context, base string) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, "POST", base+path, nil)
		if err != nil {
			return nil, err
		}
		if p.proof != "" {
			r.Header.Set("DPoP", p.proof)
		}
		form := copyOf(v)
		p.As(client, form, r)
		r.Body = io.NopCloser(strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r, nil
	})
}

// all sends the same request 32 times to each process at once.
func (p *processes) all(request func(ctx context.Context, base string) (*http.Request, error)) []oauthtest.Reply {
	ctx, cancel := context.WithTimeout(p.T.Context(), time.Minute)
	defer cancel()
	all := make([]oauthtest.Reply, 64)
	start := make(chan struct{})
	var wg sync.WaitGroup
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for i := range all {
		wg.Go(func() {
			r, err := request(ctx, p.bases[i%2])
			if err != nil {
				p.T.Error(err)
				return
			}
			<-start
			res, err := client.Do(r)
			if err != nil {
				p.T.Error(err)
				return
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			all[i] = oauthtest.Reply{Status: res.StatusCode, Header: res.Header, Body: string(body)}
			_ = json.Unmarshal(body, &all[i])
		})
	}
	close(start)
	wg.Wait()
	return all
}

func copyOf(v url.Values) url.Values {
	c := url.Values{}
	for name, list := range v {
		c[name] = append([]string(nil), list...)
	}
	return c
}

// good counts the answers with 200 or 201 and fails for any that is neither that nor a
// refusal. Under load the database may be late: that is 503, which decides nothing.
func (p *processes) good(all []oauthtest.Reply) (n int, first oauthtest.Reply) {
	p.T.Helper()
	for _, r := range all {
		switch r.Status {
		case 200, 201:
			if n++; n == 1 {
				first = r
			}
		case 400, 401, 503:
		default:
			p.T.Errorf("%d %s", r.Status, r.Body)
		}
	}
	return n, first
}

func TestTwoProcesses(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		return
	}
	p := newProcesses(t)
	t.Run("attack_154_code", func(t *testing.T) {
		n, first := p.good(p.storm("/token", "app", "grant_type", "authorization_code", "code", p.Code("app", nil), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier))
		if n > 1 {
			t.Fatalf("a code was exchanged %d times", n)
		}
		// Whoever was second ended what came of the first.
		if n == 1 && p.Status(first.Access) == 200 {
			t.Error("a replayed code leaves its token alive")
		}
	})
	t.Run("attack_183_pushed", func(t *testing.T) {
		v, err := url.ParseQuery(oauthtest.Query("app"))
		oauthtest.Must(t, err)
		v.Del("client_id")
		var pairs []string
		for name := range v {
			pairs = append(pairs, name, v.Get(name))
		}
		var pushed struct {
			URI string `json:"request_uri"`
		}
		oauthtest.Must(t, json.Unmarshal([]byte(p.Post(p.PushedAuthorization(), "app", pairs...).Body), &pushed))
		var handles []string // any number of pages can show the request
		for _, page := range p.all(func(ctx context.Context, base string) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, "GET", base+"/authorize?client_id=app&request_uri="+url.QueryEscape(pushed.URI), nil)
		}) {
			if _, rest, ok := strings.Cut(page.Body, `name="handle" value="`); ok {
				handle, _, _ := strings.Cut(rest, `"`)
				handles = append(handles, handle)
			}
		}
		if len(handles) < 2 {
			t.Fatalf("%d pages", len(handles))
		}
		var next atomic.Int64
		decided := 0
		for _, answer := range p.all(func(ctx context.Context, base string) (*http.Request, error) {
			form := url.Values{"handle": {handles[int(next.Add(1))%len(handles)]}, "decision": {"allow"}}
			r, err := http.NewRequestWithContext(ctx, "POST", base+"/authorize", strings.NewReader(form.Encode()))
			if err == nil {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			return r, err
		}) {
			switch {
			case answer.Status == 303 && strings.Contains(answer.Header.Get("Location"), "code="):
				decided++
			case answer.Status != 400 && answer.Status != 503:
				t.Errorf("%d %s", answer.Status, answer.Body)
			}
		}
		if decided != 1 {
			t.Errorf("%d codes came of one pushed request", decided)
		}
	})
	t.Run("attack_179_device", func(t *testing.T) {
		b := p.Begin("scope", "read")
		if rec := p.Decides(p.Alice("s1"), b.User, "allow"); rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		n, first := p.good(p.storm("/token", "", "grant_type", oauth2.DeviceCode, "client_id", "tv", "device_code", b.Device))
		if n != 1 || p.Status(first.Access) != 200 || p.Post(p.Token(), "", "grant_type", "refresh_token", "client_id", "tv", "refresh_token", first.Refresh).Status != 200 {
			t.Errorf("a device code gave %d grants, or none that is good: %+v", n, first)
		}
	})
	t.Run("attack_164_assertion", func(t *testing.T) {
		ring := oauthtest.RingOf(t, "k", jose.EdDSA, oauthtest.Ed25519Key(t))
		p.Signer("signer", oauthtest.PublicSet(t, ring))
		p.Elapsed.Store(time.Since(oauthtest.Born).Microseconds())
		one := p.Assertion(ring, "", "signer", nil)
		if n, _ := p.good(p.storm("/token", "", "grant_type", "client_credentials", "client_assertion_type", oauthtest.AssertionType, "client_assertion", one)); n != 1 {
			t.Errorf("an assertion was used %d times", n)
		}
	})
	t.Run("attack_184_proof", func(t *testing.T) {
		p.Elapsed.Store(time.Since(oauthtest.Born).Microseconds())
		p.proof = p.NewProver().Proof("POST", oauthtest.TokenURL, nil)
		n, first := p.good(p.storm("/token", "app", "grant_type", "client_credentials"))
		p.proof = ""
		if n != 1 || first.Type != "DPoP" {
			t.Errorf("a proof was used %d times: %+v", n, first)
		}
	})
	t.Run("refresh", func(t *testing.T) {
		got := p.Exchange("app", p.Code("app", nil))
		all := p.storm("/token", "app", "grant_type", "refresh_token", "refresh_token", got.Refresh)
		n, first := p.good(all)
		if n == 0 {
			t.Fatal("nobody got an answer")
		}
		for _, r := range all {
			if r.Status == 200 && (r.Access != first.Access || r.Refresh != first.Refresh) {
				t.Fatal("two different successors")
			}
			if r.Status == 400 {
				t.Errorf("within the grace everybody gets the same: %s", r.Body)
			}
		}
		if p.Status(first.Access) != 200 {
			t.Error("the answer is worth nothing")
		}
	})
}
