package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A header of nearly one megabyte, Go's default limit, costs no more memory than its own size,
// because it is not parsed. The same applies to the headers inside a multipart body.
func TestHeadersCost(t *testing.T) {
	s := memory.New(nil)
	a := newApp(t, s, nil)
	numbered := func(begin, format string, size int) string {
		var b strings.Builder
		b.WriteString(begin)
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i+0xa00000)
		}
		return b.String()
	}
	login, form, out := a.x.Login(password{s}), a.x.LoginForm(password{s}, nil), a.x.LogoutForm("/")
	const size = 900 << 10
	const multi = "multipart/form-data; boundary=xx"
	type request struct {
		h                         http.Handler
		header, value, kind, body string
	}
	cases := map[string]request{
		"part headers":     {login, "", "", multi, numbered("--xx\r\n", "%x:\r\n", 60<<10) + "\r\n\r\n--xx--\r\n"},
		"part disposition": {login, "", "", multi, numbered("--xx\r\nContent-Disposition: form-data", ";%x=1", 60<<10) + "\r\n\r\n\r\n--xx--\r\n"},
		"parts":            {login, "", "", multi, numbered("", "--xx\r\nContent-Disposition: form-data; name=%x\r\n\r\n\r\n", 60<<10) + "--xx--\r\n"},
		"logout's parts":   {out, "", "", multi, numbered("", "--xx\r\nContent-Disposition: form-data; name=%x\r\n\r\n\r\n", 15<<10) + "--xx--\r\n"},
		"form's Referer":   {form, "Referer", "https://" + strings.Repeat("a:", size/2), "", ""},
		"login's Origin":   {login, "Origin", "https://" + strings.Repeat("a:", size/2), "text/plain", "x"},
		"Sec-Fetch-Site":   {form, "Sec-Fetch-Site", strings.Repeat("x", size), "", ""},
	}
	for at, h := range map[string]http.Handler{"login": login, "form": form, "logout": out} {
		cases[at+"'s Content-Type"] = request{h, "", "", numbered("application/json", ";%x=1", size), "{}"}
		cases[at+"'s boundary"] = request{h, "", "", numbered(multi, "%x", size), "x"}
		cases[at+"'s unknown type"] = request{h, "", "", strings.Repeat("a", size), "x"}
	}
	for name, x := range cases {
		t.Run("attack_344_"+name, func(t *testing.T) {
			code := 0
			ask := func() {
				r := httptest.NewRequest("POST", "https://app.example/x", strings.NewReader(x.body))
				if x.header != "Origin" && x.header != "Referer" {
					r.Header["Origin"] = []string{"https://app.example"}
				}
				if x.kind != "" {
					r.Header["Content-Type"] = []string{x.kind}
				}
				if x.header != "" {
					r.Header[x.header] = []string{x.value}
				}
				w := httptest.NewRecorder()
				x.h.ServeHTTP(w, r)
				if code = w.Code; w.Body.Len() > 4<<10 {
					t.Errorf("an answer of %d bytes", w.Body.Len())
				}
			}
			ask()
			const n = 4
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range n {
				ask()
			}
			runtime.ReadMemStats(&after)
			bytes := (after.TotalAlloc - before.TotalAlloc) / n
			t.Logf("%d, %d bytes", code, bytes)
			most := uint64(3*len(x.body) + 64<<10)
			if raceEnabled {
				most += most / 2
			}
			if bytes > most {
				t.Errorf("%d bytes, want %d at most", bytes, most)
			}
		})
	}
}

// Cookies that are longer than any browser's are not searched for a session. They are rejected like
// two sessions, and never treated as absent.
func TestLongCookies(t *testing.T) {
	a := newApp(t, memory.New(nil), nil)
	for name, lines := range map[string][]string{
		"one line":      {strings.Repeat(";", authn.MaxCookies+1)},
		"two lines":     {strings.Repeat("a=b;", authn.MaxCookies/8), strings.Repeat("a=b;", authn.MaxCookies/8+1)},
		"many":          strings.Split(strings.Repeat("a=b;,", authn.MaxCookies/4+1), ","),
		"one at 32 KiB": {strings.Repeat(";", authn.MaxCookies)},
	} {
		t.Run("attack_344_"+name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "https://app.example/x", nil)
			r.Header["Cookie"] = lines
			want := http.StatusUnauthorized
			if name == "one at 32 KiB" {
				want = 0
			}
			_, err := a.x.Authenticate(r)
			var e *authn.Error
			if errors.As(err, &e) != (want != 0) || e != nil && e.Status != want {
				t.Errorf("%v", err)
			}
		})
	}
}
