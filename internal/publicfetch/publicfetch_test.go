package publicfetch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/publicfetch"
	"github.com/vestibule-auth/vestibule/internal/publicfetch/fetchtest"
)

const most = 5 << 10

// world is an internet with one server at app.example, which counts what reaches it.
type world struct {
	*fetchtest.Net
	fetcher *publicfetch.Fetcher
	origin  string
	hits    atomic.Int64
	last    atomic.Pointer[http.Request]
	serve   http.HandlerFunc
}

func newWorld(t *testing.T, change func(*publicfetch.Options)) *world {
	w := &world{Net: fetchtest.New(t)}
	w.serve = reply("application/json", `{"a":1}`)
	w.origin = w.Serve("app.example", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hits.Add(1)
		w.last.Store(r)
		w.serve(rw, r)
	}), nil)
	w.fetcher = w.with(change)
	return w
}

func (w *world) with(change func(*publicfetch.Options)) *publicfetch.Fetcher {
	o := publicfetch.Options{Agent: "issuer.example", Resolver: w.Net, Roots: w.Roots, Addresses: []netip.Prefix{fetchtest.Home}}
	if change != nil {
		change(&o)
	}
	return publicfetch.New(o)
}

func (w *world) get(t *testing.T) (publicfetch.Document, error) {
	return w.fetcher.Get(t.Context(), w.origin+"/c.json", most, nil)
}

func reply(kind, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{kind}
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = w.Write([]byte(body))
	}
}

// What is sent carries nothing of this process, whatever the environment says.
func TestRequest(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // CIMD-23
	w := newWorld(t, nil)
	d, err := w.get(t)
	if err != nil || string(d.Body) != `{"a":1}` {
		t.Fatalf("%s, %v", d.Body, err)
	}
	r := w.last.Load()
	want := http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"issuer.example"}}
	if r.Method != "GET" || fmt.Sprint(r.Header) != fmt.Sprint(want) || len(r.TLS.PeerCertificates) > 0 {
		t.Errorf("%s %v", r.Method, r.Header)
	}
	_, ctx := w.Lookups("app.example")
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > 2*time.Second {
		t.Errorf("a look-up may last until %v", end)
	}
}

// An address that is not public gets no connection, and refuses its whole name.
func TestAddresses(t *testing.T) {
	w := newWorld(t, func(o *publicfetch.Options) { o.Addresses = nil })
	for row, names := range map[string][]string{
		"CIMD-15": {"127.0.0.1"},
		"CIMD-16": {"169.254.169.254"},
		"CIMD-17": {"10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "198.18.0.1"},
		"CIMD-18": {"0.0.0.0", "255.255.255.255", "224.0.0.1"},
		"CIMD-19": {"::1", "fd00::1", "fe80::1", "::ffff:127.0.0.1", "::", "ff02::1", "fe80::1%eth0", "2600::1%eth0"},
		"CIMD-20": {"64:ff9b::7f00:1", "64:ff9b::808:808", "2002:7f00:1::", "2001::1", "2001:db8::1", "3fff::1", "4000::1"},
		"CIMD-21": {"127.0.0.2 10.0.0.1", "8.8.8.8 127.0.0.1", "2600::1 ::1"},
		"special": {"192.0.0.8", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1", "198.51.100.1", "203.0.113.1", "2620:4f:8000::1", ""},
	} {
		for _, addresses := range names {
			t.Run(row+"/"+addresses, func(t *testing.T) {
				w.Point("app.example", addresses)
				admitted := false
				_, err := w.fetcher.Get(t.Context(), w.origin+"/c", most, func([]netip.Addr) error { admitted = true; return nil })
				if !errors.Is(err, publicfetch.ErrAddress) || admitted {
					t.Errorf("%v, admitted %v", err, admitted)
				}
			})
		}
	}
	if w.hits.Load() != 0 {
		t.Error("connected")
	}
	refused := errors.New("refused by the caller")
	for _, addresses := range []string{"8.8.8.8", "2600::1", "::ffff:8.8.8.8", "100.128.0.1 198.20.0.1 172.32.0.1"} {
		w.Point("app.example", addresses)
		if _, err := w.fetcher.Get(t.Context(), w.origin+"/c", most, func([]netip.Addr) error { return refused }); err != refused {
			t.Errorf("%s: %v", addresses, err)
		}
	}
	translating := w.with(func(o *publicfetch.Options) { o.DNS64 = true })
	for address, want := range map[string]error{"64:ff9b::808:808": refused, "64:ff9b::7f00:1": publicfetch.ErrAddress, "64:ff9b:1::808:808": publicfetch.ErrAddress} {
		w.Point("app.example", address)
		if _, err := translating.Get(t.Context(), w.origin+"/c", most, func([]netip.Addr) error { return refused }); !errors.Is(err, want) {
			t.Errorf("DNS64, %s: %v", address, err)
		}
	}
}

// CIMD-22: the address that was checked is the one that is dialed, and it is looked up once.
func TestOneLookup(t *testing.T) {
	w := newWorld(t, nil)
	w.Point("app.example", "127.0.0.2", "127.0.0.1")
	if _, err := w.get(t); err != nil || w.hits.Load() != 1 {
		t.Fatalf("%v, %d requests", err, w.hits.Load())
	}
	if n, _ := w.Lookups("app.example"); n != 1 {
		t.Errorf("%d look-ups", n)
	}
	if _, err := w.get(t); !errors.Is(err, publicfetch.ErrAddress) || w.hits.Load() != 1 {
		t.Errorf("after it moved: %v", err)
	}
}

// CIMD-24: a redirect is a failure, also to the same host.
func TestRedirects(t *testing.T) {
	w := newWorld(t, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		w.hits.Store(0)
		w.serve = func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			http.Redirect(rw, r, w.origin+"/other", status)
		}
		if _, err := w.get(t); !errors.Is(err, publicfetch.ErrResponse) || w.hits.Load() != 1 {
			t.Errorf("%d: %v, %d requests", status, err, w.hits.Load())
		}
	}
}

func TestResponses(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	full := `{"a":"` + strings.Repeat("x", most-8) + `"}`
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
		}
	}
	for name, x := range map[string]struct {
		serve http.HandlerFunc
		ok    bool
	}{
		"full":                      {reply("application/json; charset=utf-8", full), true},
		"another JSON":              {reply("application/jwk-set+json", "{}"), true},
		"CIMD-25/204":               {status(204), false},
		"CIMD-25/304":               {status(304), false},
		"CIMD-25/401":               {status(401), false},
		"CIMD-25/404":               {status(404), false},
		"CIMD-25/500":               {status(500), false},
		"CIMD-25/201":               {status(201), false},
		"CIMD-25/text/html":         {reply("text/html", "{}"), false},
		"CIMD-25/text/plain":        {reply("text/plain", "{}"), false},
		"CIMD-25/text/x+json":       {reply("text/x+json", "{}"), false},
		"CIMD-25/no type":           {reply("", "{}"), false},
		"CIMD-26/one byte more":     {reply("application/json", full+" "), false},
		"CIMD-26/endless":           {endless, false},
		"CIMD-26/a longer length":   {reply("application/json", "{}", "Content-Length", "20"), false},
		"CIMD-26/a huge length":     {reply("application/json", "{}", "Content-Length", "1000000"), false},
		"CIMD-26/many header bytes": {reply("application/json", "{}", "X-A", strings.Repeat("a", 17<<10)), false},
		"CIMD-28/a gzip bomb":       {reply("application/json", bomb.String(), "Content-Encoding", "gzip"), false},
		"CIMD-28/identity":          {reply("application/json", "{}", "Content-Encoding", "identity"), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.serve = x.serve
			d, err := w.get(t)
			if (err == nil) != x.ok || len(d.Body) > most || err != nil && len(d.Body) > 0 {
				t.Errorf("%d bytes, %v", len(d.Body), err)
			}
			if w.hits.Load() != 1 {
				t.Errorf("%d requests", w.hits.Load())
			}
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for r.Context().Err() == nil {
		if _, err := w.Write(bytes.Repeat([]byte(" "), 1000)); err != nil {
			return
		}
	}
}

// CIMD-27: whatever the other side delays, the fetch ends. Servers block until the test ends, so a
// fetch without its limit would never return.
func TestSlow(t *testing.T) {
	release := make(chan struct{})
	short := func(o *publicfetch.Options) { o.Timeout = 200 * time.Millisecond }
	dribble := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(" "))
		w.(http.Flusher).Flush()
		<-release
	}
	for name, serve := range map[string]http.HandlerFunc{"the body never ends": dribble, "the headers never end": func(http.ResponseWriter, *http.Request) { <-release }} {
		w := newWorld(t, short)
		w.serve = serve
		if _, err := w.get(t); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t, short)
	port := w.Listen(func(l net.Listener) {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
			}
		}()
	})
	if _, err := w.fetcher.Get(t.Context(), "https://app.example:"+port+"/c", most, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the handshake hangs: %v", err)
	}
	close(release) // before the servers are closed, which wait for their handlers
}

// CIMD-29.
func TestCertificates(t *testing.T) {
	w := newWorld(t, nil)
	stranger := fetchtest.New(t)
	expired := w.Certificate("app.example", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Unix(0, 0), time.Unix(1, 0) })
	other := w.Certificate("other.example", nil)
	selfSigned := stranger.Certificate("app.example", nil)
	for name, cert := range map[string]tls.Certificate{"expired": expired, "other host": other, "self-signed": selfSigned} {
		hit := false
		w.origin = w.Serve("app.example", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { hit = true }), &cert)
		if _, err := w.get(t); err == nil || hit {
			t.Errorf("%s: %v, requested %v", name, err, hit)
		}
	}
}

// The rows CIMD-1 to CIMD-14 that hold for every URL.
func TestCheckURL(t *testing.T) {
	for row, list := range map[string][]string{
		"CIMD-1":  {"http://app.example/c.json"},
		"CIMD-2":  {"HTTPS://app.example/c", "https://APP.example/c", "https://app.example./c"},
		"CIMD-3":  {"https://app.example"},
		"CIMD-5":  {"https://u:p@app.example/c", "https://@app.example/c"},
		"CIMD-6":  {"https://app.example/c#x", "https://app.example/c#"},
		"CIMD-7":  {"https://app.example/a/../c", "https://app.example/./c", "https://app.example/%2e%2E/c", "https://app.example/.%2e", "https://app.example/."},
		"CIMD-8":  {`https://app.example\c`, `https://app.example/\c`, "https://app.example/ c", "https://app.example/\tc", "https://app.example/\x00c", "https://app.example/é", "https://app.example/" + strings.Repeat("a", publicfetch.MaxURL)},
		"CIMD-9":  {"https://127.0.0.1/c", "https://[::1]/c"},
		"CIMD-10": {"https://2130706433/c", "https://0x7f.1/c", "https://0177.0.0.1/c", "https://127.1/c", "https://a.0x7f/c"},
		"CIMD-11": {"https://[::ffff:10.0.0.1]/c", "https://[fe80::1%25eth0]/c"},
		"CIMD-12": {"https://localhost/c", "https://a.localhost/c", "https://host/c"},
		"CIMD-13": {"https://metadata.google.internal/c", "https://x.local/c", "https://x.home.arpa/c", "https://x.onion/c", "https://x.alt/c"},
		"CIMD-14": {"https://app.example:22/c", "https://app.example:80/c", "https://app.example:25/c", "https://app.example:/c", "https://app.example:0443/c", "https://app.example:65536/c", "https://app.example:+443/c", "https://app.example:443:443/c"},
		"names":   {"https://-a.example/c", "https://a-.example/c", "https://a..example/c", "https://.example/c", "https://a_b.example/c", "https://" + strings.Repeat("a", 64) + ".example/c", "https://" + strings.Repeat("a.", 127) + "example/c", "https:///c", "https://app.example/%zz", "https://app%2eexample/c"},
	} {
		for _, text := range list {
			if err := publicfetch.CheckURL(text); !errors.Is(err, publicfetch.ErrURL) {
				t.Errorf("%s: %.80q: %v", row, text, err)
			}
		}
	}
	for _, text := range []string{"https://app.example/", "https://app.example/c.json", "https://app.example:443/c", "https://app.example:8443/c", "https://a-b.xn--p1ai/~x/...", "https://app.example/c?x=/../"} {
		if err := publicfetch.CheckURL(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMaxAge(t *testing.T) {
	date := time.Now().UTC().Format(http.TimeFormat)
	later := time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat)
	for _, x := range []struct {
		name, value string
		want        time.Duration
	}{
		{"X", "", publicfetch.Unsaid},
		{"Cache-Control", "public, max-age=600", 10 * time.Minute},
		{"Cache-Control", "max-age=600, no-store", 0},
		{"Cache-Control", "No-Cache", 0},
		{"Cache-Control", "max-age=-1", 0},
		{"Cache-Control", "max-age=99999999999999999999", 0},
		{"Expires", later, 2 * time.Hour},
		{"Expires", "0", 0},
		{"Expires", "Thu, 01 Jan 1970 00:00:00 GMT", 0},
	} {
		w := newWorld(t, nil)
		w.serve = reply("application/json", "{}", x.name, x.value, "Date", date)
		d, err := w.get(t)
		if diff := d.MaxAge - x.want; err != nil || diff < -2*time.Second || diff > 2*time.Second {
			t.Errorf("%s %s: %v, %v", x.name, x.value, d.MaxAge, err)
		}
	}
}

// Two parsers read an accepted URL alike.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"https://app.example/c", "https://a.b:8443/%41?x", "https://u@a.b/c", "https://a.b\\@c/d", "https://127.1/", "https://a.b/%2e%2e/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if publicfetch.CheckURL(text) != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Fragment != "" || u.String() != text || net.ParseIP(u.Hostname()) != nil {
			t.Errorf("%q: %v, %v", text, u, err)
		}
		if back := strings.ToLower(u.Host); back != u.Host {
			t.Errorf("%q: host %q", text, u.Host)
		}
	})
}
