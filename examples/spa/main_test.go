package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// observed notes the API's answers to requests that a page of each origin makes.
type observed struct {
	mu      sync.Mutex
	answers []string
}

func (o *observed) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &recorder{ResponseWriter: w}
		next.ServeHTTP(recorder, r)
		host, _, _ := net.SplitHostPort(strings.TrimPrefix(r.Header.Get("Origin"), "https://"))
		o.mu.Lock()
		defer o.mu.Unlock()
		o.answers = append(o.answers, fmt.Sprintf("%s %s from %s: %d", r.Method, r.URL.Path, host, recorder.status))
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// walkthrough is a page of the front end. It uses the application's own forms, then shows a page of
// another host in a frame, and reports what the user would see.
const walkthrough = `<!doctype html><html data-api="https://app.example:PORT"><meta charset="utf-8">
<p id="problem"></p><form id="login"><input name="username"><input name="password"></form>
<section id="notes"><b id="user"></b><button id="logout"></button><ul id="list"></ul><form id="add"><input name="text"></form></section>
<script type="module" src="app.js"></script>
<script type="module">
import { api } from "./api.js"
const id = (name) => document.getElementById(name)
const until = async (what, test) => {
	for (let i = 0; i < 600; i++) { if (test()) return; await new Promise((done) => setTimeout(done, 50)) }
	throw new Error("in vain: " + what + ": " + id("problem").textContent)
}
const notes = () => [...id("list").children].map((item) => item.textContent)
const seen = {}
try {
	await until("logged out", () => id("notes").hidden)
	id("login").elements.username.value = "alice"
	id("login").elements.password.value = "wrong"
	id("login").requestSubmit()
	await until("the error", () => id("problem").textContent !== "")
	seen.wrong = id("problem").textContent
	id("login").elements.password.value = "wonderland-42"
	id("login").requestSubmit()
	await until("login", () => id("user").textContent === "alice")
	id("add").elements.text.value = "<b>milk</b>"
	id("add").requestSubmit()
	await until("the note", () => notes().length === 1)
	seen.cookie = document.cookie
	for (const host of ["sibling.app.example", "evil.example"]) {
		const frame = document.createElement("iframe")
		frame.src = "https://" + host + ":PORT/attack"
		const attacked = new Promise((done) => addEventListener("message", done, { once: true }))
		document.body.append(frame)
		seen[host] = (await attacked).data
	}
	seen.notes = await api("GET", "/api/notes")
	id("logout").click()
	await until("logout", () => id("notes").hidden)
	seen.after = await api("GET", "/api/notes").catch((error) => error.status)
} catch (error) { seen.error = String(error) }
await fetch("/result", { method: "POST", body: JSON.stringify(seen) })
</script>`

// attack is a page of another site. It sends a form that needs no preflight request, and tries to
// read and to write by script.
const attack = `<!doctype html><iframe name="sink"></iframe>
<form method="post" action="https://app.example:PORT/api/notes" target="sink"><input name="text" value="spam"></form>
<script type="module">
const api = "https://app.example:PORT/api/notes"
const loaded = new Promise((done) => { document.querySelector("iframe").onload = done })
document.forms[0].submit()
await loaded
const result = []
for (const request of [
	{ credentials: "include" },
	{ method: "POST", credentials: "include", mode: "no-cors", body: new URLSearchParams({ text: "spam" }) },
	{ method: "POST", credentials: "include", headers: { "Content-Type": "application/json" }, body: '{"text":"spam"}' },
]) result.push(await fetch(api, request).then((r) => r.type + " " + r.status, (error) => error.name))
parent.postMessage(result.join(", "), "*")
</script>`

// A real browser uses the application, on a host of its own, and pages of other hosts try to use its
// cookie.
func TestBrowser(t *testing.T) {
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && chromium == "" {
			chromium = path
		}
	}
	if chromium == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is required: apt-get install chromium")
		}
		t.Skip("not run: chromium is not installed")
	}
	server := httptest.NewUnstartedServer(nil) // it has its address already
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	api, err := newServer(t.Context(), config{origin: "https://app.example:" + port, front: "https://front.app.example:" + port})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan map[string]any, 1)
	seen := new(observed)
	server.Config.Handler = hosts(t, port, seen.handler(api), result)
	server.StartTLS()

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	browser := exec.CommandContext(ctx, chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--ignore-certificate-errors",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", "--host-resolver-rules=MAP *.example 127.0.0.1", "https://front.app.example:"+port+"/walkthrough.html")
	var log strings.Builder
	browser.Stderr = &log
	browser.WaitDelay = 10 * time.Second
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	select {
	case got = <-result:
	case <-ctx.Done():
	}
	cancel()
	ended := browser.Wait() // it was killed, so there is always an error
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if got == nil {
		t.Fatalf("the page reports nothing (%v)\n%s\n%q", ended, &log, seen.answers)
	}

	want := map[string]any{
		"wrong":               "Unable to log in with provided credentials.",
		"cookie":              "", // no script can read it
		"notes":               []any{"<b>milk</b>"},
		"after":               401.0,
		"sibling.app.example": "TypeError, opaque 0, TypeError",
		"evil.example":        "TypeError, opaque 0, TypeError",
	}
	for name, value := range want {
		if fmt.Sprint(got[name]) != fmt.Sprint(value) {
			t.Errorf("%s: %v, want %v", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the page reports %v", got)
	}
	answers := strings.Join(seen.answers, "\n")
	// The browser sends the cookie from a host of the same site; from another site it does not.
	if n := strings.Count(answers, "POST /api/notes from sibling.app.example: 403"); n != 2 {
		t.Errorf("%d POST requests of the sibling were answered with 403, want 2:\n%s", n, answers)
	}
	for _, line := range seen.answers {
		if strings.HasPrefix(line, "POST ") && !strings.Contains(line, "from front.app.example") && !strings.HasSuffix(line, ": 403") && !strings.HasSuffix(line, ": 401") {
			t.Errorf("another host's request: %s", line)
		}
	}
}

// hosts serves the API, the front end and two other hosts.
func hosts(t *testing.T, port string, api http.Handler, result chan<- map[string]any) http.Handler {
	t.Helper()
	web, err := fs.Sub(files, "web")
	if err != nil {
		t.Fatal(err)
	}
	page := func(html string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if _, err := fmt.Fprint(w, strings.ReplaceAll(html, "PORT", port)); err != nil {
				t.Error(err)
			}
		}
	}
	mux := http.NewServeMux()
	mux.Handle("app.example/", api)
	mux.Handle("front.app.example/", http.FileServerFS(web))
	mux.HandleFunc("front.app.example/walkthrough.html", page(walkthrough))
	mux.HandleFunc("sibling.app.example/attack", page(attack))
	mux.HandleFunc("evil.example/attack", page(attack))
	mux.HandleFunc("POST front.app.example/result", func(w http.ResponseWriter, r *http.Request) {
		var got map[string]any
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		result <- got
	})
	return mux
}

// The preflight request of the front end is answered before anybody is authenticated; another
// origin gets no permission.
func TestPreflight(t *testing.T) {
	h, err := newServer(t.Context(), config{origin: "https://app.example", front: "https://front.app.example"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(h)
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	for origin, want := range map[string]string{"https://front.app.example": "https://front.app.example", "https://evil.example": "", "null": ""} {
		r, err := http.NewRequestWithContext(t.Context(), "OPTIONS", server.URL+"/api/notes", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "app.example"
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if got := response.Header.Get("Access-Control-Allow-Origin"); got != want || want != "" && response.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %d %q", origin, response.StatusCode, got)
		}
	}
}
