package session_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A login page and a logout use little more memory than the size of the request, however many
// parameters it has.
func TestParametersCost(t *testing.T) {
	s := memory.New(nil)
	a := newApp(t, s, nil)
	many := func(size int) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			b.WriteString(strconv.FormatInt(int64(i), 36) + "&")
		}
		return b.String()
	}
	var members strings.Builder
	for i := range 6000 {
		members.WriteString(`"` + strconv.Itoa(i) + `":1,`)
	}
	long := many(30 << 10)
	for what, x := range map[string]struct {
		h            http.Handler
		method, body string
	}{
		"page":    {a.x.LoginForm(password{s}, nil), "GET", ""},
		"login":   {a.x.Login(password{s}), "POST", many(30 << 10)},
		"form":    {a.x.LoginForm(password{s}, nil), "POST", many(30 << 10)},
		"lists":   {a.x.Login(password{s}), "POST", `{"username":[` + strings.Repeat("[],", 20000) + `[]]}`},
		"objects": {a.x.Login(password{s}), "POST", `{"username":[` + strings.Repeat("{},", 20000) + `{}]}`},
		"members": {a.x.Login(password{s}), "POST", `{` + members.String() + `"z":1}`},
		"logout":  {a.x.LogoutForm("/"), "POST", many(15 << 10)},
	} {
		t.Run("edge_A13/"+what, func(t *testing.T) {
			ask := func() {
				r := httptest.NewRequest(x.method, "https://app.example/x", strings.NewReader(x.body))
				if x.method == "GET" {
					r.URL.RawQuery = long
				}
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				if strings.HasPrefix(x.body, "{") {
					r.Header.Set("Content-Type", "application/json")
				}
				x.h.ServeHTTP(httptest.NewRecorder(), r)
			}
			ask()
			const n = 20
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range n {
				ask()
			}
			runtime.ReadMemStats(&after)
			bytes := (after.TotalAlloc - before.TotalAlloc) / n
			t.Logf("%d bytes", bytes)
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
