package benchmarks

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// errNoDjango says that there is no Django to measure, and why.
var errNoDjango = errors.New("no Django is measured")

//go:embed authenticators.py
var authenticators string

// django is the reference project, seeded on a SQLite file.
type django struct {
	python, folder, db string
	env                []string
	// Cases are path and header of each scheme.
	cases map[string][]string
	// Versions as the project itself says them.
	versions map[string]string
}

// python is a Python that has Django and the REST framework.
func python(ctx context.Context) (string, error) {
	for _, p := range []string{os.Getenv("VESTIBULE_PYTHON"), "/usr/bin/python3", "python3"} {
		if p == "" {
			continue
		}
		if exec.CommandContext(ctx, p, "-c", "import django, rest_framework, rest_framework_simplejwt, oauth2_provider").Run() == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: no Python with Django, Django REST Framework, simplejwt and OAuth Toolkit; on Debian: scripts/drf-install", errNoDjango)
}

// newDjango migrates and fills a database for the reference project in folder.
func newDjango(e *Env, folder string) (*django, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(folder, "seed_bench.py")); err != nil {
		return nil, fmt.Errorf("%w: the reference project is not there; VESTIBULE_REFERENCE names its folder", errNoDjango)
	}
	p, err := python(e)
	if err != nil {
		return nil, err
	}
	dir, err := e.Dir()
	if err != nil {
		return nil, err
	}
	d := &django{python: p, folder: folder, db: filepath.Join(dir, "django.sqlite3")}
	path := folder
	if knox := os.Getenv("VESTIBULE_KNOX"); knox != "" {
		path += ":" + knox // a folder that holds the package knox, which is none of Debian's
	}
	d.env = append(os.Environ(), "REF_DB="+d.db, "DJANGO_SETTINGS_MODULE=settings", "JWT_BENCH=1", "PYTHONPATH="+path, "PYTHONDONTWRITEBYTECODE=1")
	cases := filepath.Join(dir, "cases.json")
	cmd := exec.CommandContext(e, p, "seed_bench.py", cases)
	cmd.Dir, cmd.Env = folder, d.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("seed_bench.py: %w: %s", err, out)
	}
	text, err := os.ReadFile(cases)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &d.cases); err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "authenticators.py")
	return d, os.WriteFile(script, []byte(authenticators), 0o600)
}

// schemes are those of ours that it has too, in their order.
func (d *django) schemes() []string {
	var list []string
	for _, s := range append(slices.Clone(Schemes), "jwt-stateless") {
		if d.cases[s] != nil && s != "basic" {
			list = append(list, s)
		}
	}
	return list
}

// serve starts gunicorn with a process a core and threads, which keep connections.
func (d *django) serve(e *Env) (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr = l.Addr().String()
	l.Close()
	cmd := exec.CommandContext(e, d.python, append([]string{"-m", "gunicorn", "wsgi:application", "-b", addr}, gunicornArgs()...)...)
	cmd.Dir, cmd.Env = d.folder, d.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	e.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // gunicorn ends its workers
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	t := Target{Addr: addr, Path: d.cases[Open][0], Want: "anonymous"}
	for range 100 {
		if _, err = t.Load(e, time.Millisecond); err == nil {
			return addr, nil
		}
		select {
		case err := <-ended:
			ended <- err
			return "", fmt.Errorf("gunicorn: %v: %s", err, log)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return "", fmt.Errorf("gunicorn does not answer: %w", err)
}

func (d *django) targets(addr string) []asked {
	var list []asked
	for _, name := range append([]string{Open}, d.schemes()...) {
		want := "user0500"
		if name == Open {
			want = "anonymous"
		}
		if name == "jwt-stateless" {
			want = "username"
		}
		c := d.cases[name]
		t := &Target{Addr: addr, Path: c[0], Want: want}
		if len(c) > 1 {
			t.Header = c[1]
		}
		list = append(list, asked{t, &Sample{Section: "servers", Group: DjangoServer, Name: name, Unit: "req/s", Allocs: -1, Bytes: -1}})
	}
	return list
}

// timer is a Python process that times authenticators one at a time, when it is told to.
type timer struct {
	in  io.Writer
	out *bufio.Reader
}

func (d *django) timer(e *Env) (*timer, error) {
	dir := filepath.Dir(d.db)
	cmd := exec.CommandContext(e, d.python, filepath.Join(dir, "authenticators.py"), filepath.Join(dir, "cases.json"))
	cmd.Dir, cmd.Env, cmd.Stderr = d.folder, d.env, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	e.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	t := &timer{in, bufio.NewReader(out)}
	return t, t.ask("", 0, &d.versions)
}

// ask reads an answer to the question, where there is one.
func (t *timer) ask(scheme string, long time.Duration, v any) error {
	if scheme != "" {
		if _, err := fmt.Fprintln(t.in, scheme, long.Seconds()); err != nil {
			return err
		}
	}
	line, err := t.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("authenticators.py: %w", err)
	}
	return json.Unmarshal(line, v)
}

func gunicornArgs() []string {
	return []string{"-w", "2", "-k", "gthread", "--threads", "8", "--keep-alive", "30", "--log-level", "error"}
}

// MeasureServers asks the comparison server, cached and not, and Django where there is one.
// skipped says what is missing there.
func MeasureServers(ctx context.Context, reference string, rounds Rounds, tell Progress) (samples []*Sample, versions map[string]string, skipped []string, err error) {
	env := NewEnv(ctx)
	defer env.Close()
	binary, err := env.buildCompare()
	if err != nil {
		return nil, nil, nil, err
	}
	cached, err := env.startCompare(binary, "30s")
	if err != nil {
		return nil, nil, nil, err
	}
	uncached, err := env.startCompare(binary, "off")
	if err != nil {
		return nil, nil, nil, err
	}
	all := append(cached.targets(CompareCached, true), uncached.targets(CompareUncached, false)...)
	d, err := newDjango(env, reference)
	switch {
	case errors.Is(err, errNoDjango):
		skipped = append(skipped, err.Error())
	case err != nil:
		return nil, nil, nil, err
	default:
		if d.cases["knox"] == nil {
			skipped = append(skipped, "Knox is not measured: its package is none of Debian's; VESTIBULE_KNOX names a folder that holds it (pip install --no-deps --target FOLDER django-rest-knox==4.2.0)")
		}
		addr, err := d.serve(env)
		if err != nil {
			return nil, nil, nil, err
		}
		all = append(all, d.targets(addr)...)
		if samples, err = measureAlone(env, d, rounds, tell); err != nil {
			return nil, nil, nil, err
		}
		versions = d.versions
	}
	err = measureHTTP(ctx, all, rounds, tell)
	return append(samples, samplesOf(all)...), versions, skipped, err
}

// measureAlone times the authenticators without a server: Django's, and ours, the whole
// chain, over SQLite and cached.
func measureAlone(e *Env, d *django, rounds Rounds, tell Progress) ([]*Sample, error) {
	t, err := d.timer(e)
	if err != nil {
		return nil, err
	}
	var samples []*Sample
	schemes := d.schemes()
	total, done := len(schemes)*rounds.Number, 0
	for _, scheme := range schemes {
		theirs := &Sample{Section: "alone", Group: scheme, Name: DjangoServer, Unit: "ns", Allocs: -1, Bytes: -1}
		samples = append(samples, theirs)
		var ours []*entrant
		for _, name := range []string{OursSQLite, OursCached} {
			c := find(string(Authenticate) + "/" + strings.TrimSuffix(scheme, "-stateless") + "/" + name)
			if c == nil {
				continue
			}
			w, err := c.Make(e)
			if err != nil {
				return nil, err
			}
			x := &entrant{work: w, sample: &Sample{Section: "alone", Group: scheme, Name: name, Unit: "ns", Cached: c.Cached}}
			if err := x.calibrate(rounds.Slot / 2); err != nil {
				return nil, err
			}
			ours = append(ours, x)
			samples = append(samples, x.sample)
		}
		for range rounds.Number {
			tell(done, total, "alone/"+scheme)
			var ns float64
			if err := t.ask(scheme, rounds.Slot, &ns); err != nil {
				return nil, err
			}
			theirs.Values = append(theirs.Values, ns)
			for _, x := range ours {
				if err := x.round(); err != nil {
					return nil, err
				}
			}
			done++
		}
	}
	return samples, nil
}
