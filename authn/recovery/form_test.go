package recovery_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// send sends a form as a browser does from a page of this site.
func send(h http.Handler, fields ...string) *httptest.ResponseRecorder {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return post(h, v.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Sec-Fetch-Site", "same-origin", "Origin", "https://app.example")
}

func open(h http.Handler, method string) *httptest.ResponseRecorder {
	r, rec := httptest.NewRequest(method, "https://app.example/reset", nil), httptest.NewRecorder()
	r.Header.Set("Accept", "text/html")
	h.ServeHTTP(rec, r)
	return rec
}

// shows fails unless a page has a status and these texts.
func shows(t *testing.T, what string, rec *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	if rec.Code != status || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") {
		t.Errorf("%s: %d %v", what, rec.Code, rec.Header())
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(rec.Body.String()), text) {
			t.Errorf("%s lacks %q: %s", what, text, rec.Body)
		}
	}
}

// The pages reset a password without scripts: the whole link is pasted.
func TestForms(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		forms := &recovery.FormOptions{Login: "/login", Request: "/forgot"}
		ask, set := w.RequestForm(forms), w.ResetForm(forms)
		shows(t, "the request", open(ask, "GET"), 200, "Reset your password", `type="email"`, `href="/login"`)
		known, unknown := send(ask, "address", "alice"), send(ask, "address", "nobody")
		shows(t, "the answer", known, 200, "Check your messages", `href="/forgot"`)
		if known.Body.String() != unknown.Body.String() {
			t.Error("the pages of a known and an unknown address differ")
		}
		w.Drain(t.Context())
		if len(w.messages) != 1 {
			t.Fatalf("%d messages", len(w.messages))
		}
		token := w.messages[0].Token
		link := page + "#token=" + token

		shows(t, "the form", open(set, "GET"), 200, "Set a new password", `name="token"`, "<script>")
		if rec := open(set, "HEAD"); rec.Code != 200 {
			t.Errorf("HEAD: %d", rec.Code)
		}
		if rec := open(set, "PUT"); rec.Code != 405 || rec.Header().Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("PUT: %d %v", rec.Code, rec.Header())
		}
		// What is repeated is the token in a hidden field, and the problem describes the password.
		rec := send(set, "token", link, "password", "short")
		shows(t, "a short password", rec, 400, `type="hidden" name="token" value="`+token+`"`, `aria-invalid="true" aria-describedby="problem"`, "This password is too short.")
		if strings.Contains(rec.Body.String(), "<script>") {
			t.Error("a page that has the token needs no script")
		}
		shows(t, "no password", send(set, "token", token), 400, `value="`+token+`"`, "Enter a new password.")
		shows(t, "no link", send(set, "password", "looking-glass-1"), 400, `aria-describedby="hint problem"`, "Paste the link")
		for _, made := range []string{"x", `"><b>`, page + "#token=x"} {
			rec := send(set, "token", made, "password", "looking-glass-1")
			shows(t, "a made-up link", rec, 400, "This link is not valid any more.", `aria-describedby="hint problem"`)
			if strings.Contains(rec.Body.String(), "<b>") || strings.Contains(rec.Body.String(), `value="`) {
				t.Errorf("%q is repeated: %s", made, rec.Body)
			}
		}
		if w.logsIn("looking-glass-1") {
			t.Fatal("the password has changed")
		}

		shows(t, "the reset", send(set, "token", " "+link+" ", "password", "looking-glass-1"), 200, "Your password is changed", `href="/login"`)
		if !w.logsIn("looking-glass-1") {
			t.Error("the password has not changed")
		}
		rec = send(set, "token", link, "password", "looking-glass-2")
		shows(t, "a second use", rec, 400, "This link is not valid any more.", `href="/forgot"`)
		if strings.Contains(rec.Body.String(), token) || strings.Contains(w.log.String(), token) {
			t.Error("the token is repeated or logged")
		}
	})
}

// No site can frame the pages, cause their POST or read them from a cache. The policy allows the very
// script of the page and no other.
func TestFormHeaders(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	for what, h := range map[string]http.Handler{"request": w.RequestForm(nil), "reset": w.ResetForm(nil)} {
		rec := open(h, "GET")
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"} {
			if got := rec.Header().Get(name); got != want {
				t.Errorf("%s: %s: %q", what, name, got)
			}
		}
		policy := rec.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: %s", what, policy)
			}
		}
		if what == "reset" {
			_, script, _ := strings.Cut(rec.Body.String(), "<script>")
			script, _, _ = strings.Cut(script, "</script>")
			sum := sha256.Sum256([]byte(script))
			if want := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) || strings.Count(policy, "script-src") != 1 {
				t.Errorf("%s, want %s", policy, want)
			}
		}
		foreign := post(h, "address=alice&token=x&password=y", "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		shows(t, "a form of another site", foreign, 403, "another site")
	}
	if len(w.messages) != 0 {
		t.Error("another site caused a message")
	}
}

// Errors that users cannot correct have their status and a page; a limit keeps the form.
func TestFormFaults(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	token := w.token()
	w.s.fail.Store(true)
	set := w.ResetForm(nil)
	rec := send(set, "token", token, "password", "looking-glass-1")
	shows(t, "no store", rec, 503, "Try again later")
	if strings.Contains(rec.Body.String(), token) || rec.Header().Get("Retry-After") == "" {
		t.Errorf("%v %s", rec.Header(), rec.Body)
	}
	w.s.fail.Store(false)
	if w.logsIn("looking-glass-1") {
		t.Error("the password has changed")
	}
	limiter, err := throttle.NewLogin(throttle.NewMemory(nil), nil)
	must(t, err)
	ask := w.recovery(&recovery.Options{Limiter: limiter}).RequestForm(nil)
	for range 100 {
		if rec = send(ask, "address", "alice"); rec.Code != 200 {
			break
		}
	}
	shows(t, "a limit", rec, 429, `role="alert"`, "Request was throttled.", `value="alice"`)
	if strings.Contains(rec.Body.String(), `aria-invalid="true"`) || rec.Header().Get("Retry-After") == "" {
		t.Errorf("%v %s", rec.Header(), rec.Body)
	}
	shows(t, "a long address", send(w.RequestForm(nil), "address", strings.Repeat("x", 300)), 400, `aria-invalid="true"`, "no more than 254 bytes")
}

// An own page gets the values and the headers. A panic in it is a 500 without half a page and
// without a token in the log, and the link stays valid or used as before.
func TestFormRender(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	var got recovery.Page
	panics := false
	own := &recovery.FormOptions{NameLabel: "Username", Login: "/in", Render: func(rw http.ResponseWriter, _ *http.Request, p recovery.Page) {
		got = p
		rw.Header().Set("X-Half", "done")
		_, _ = rw.Write([]byte("own page " + p.Token.Text()))
		if panics {
			panic("hush " + p.Token.Text())
		}
	}}
	token := w.token()
	set := w.ResetForm(own)
	rec := send(set, "token", token, "password", "short")
	shows(t, "own page", rec, 400, "own page "+token)
	if got.Step != recovery.StepReset || got.Field != "password" || got.Login != "/in" || got.NameLabel != "Username" || rec.Header().Get("X-Frame-Options") != "DENY" {
		t.Errorf("%+v %v", got, rec.Header())
	}
	encoded, err := json.Marshal(got)
	must(t, err)
	if text := fmt.Sprintf("%v %+v %#v %s %s", got, got, got, got.Token, encoded); strings.Contains(text, token) {
		t.Errorf("printing shows the token: %s", text)
	}

	panics = true
	var log strings.Builder
	h := authn.New(authn.Chain{}, &authn.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}).Public(set)
	r := httptest.NewRequest("POST", "https://app.example/reset", strings.NewReader(url.Values{"token": {token}, "password": {"short"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	shows(t, "a panic", rec, 500, "Something went wrong")
	if strings.Contains(rec.Body.String(), "own page") || rec.Header().Get("X-Half") != "" || !strings.Contains(log.String(), "recovery.FormOptions.Render") || strings.Contains(log.String(), token) || strings.Contains(log.String(), "hush") {
		t.Errorf("%v %s\n%s", rec.Header(), rec.Body, &log)
	}
	panics = false
	shows(t, "afterwards", send(set, "token", token, "password", "looking-glass-1"), 200, "own page")
	if got.Step != recovery.StepDone || got.Token.Text() != "" || !w.logsIn("looking-glass-1") {
		t.Errorf("%+v", got)
	}
	shows(t, "another label", open(w.RequestForm(&recovery.FormOptions{NameLabel: "Username"}), "GET"), 200, "<label>Username", `autocomplete="username"`)
}
