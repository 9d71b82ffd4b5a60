package session_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const unauthorized, forbidden = "Unauthorized", "Forbidden"

func TestLogin(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, nil)
		w := a.do("POST", "/login", `{"username":"alice","password":"right"}`)
		if w.Code != 200 || w.Body.String() != "{\"username\":\"alice\"}\n" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("got %d %s %v", w.Code, w.Body, w.Header())
		}
		c := w.Result().Cookies()
		if len(c) != 1 || c[0].Name != "__Host-session" || !c[0].Secure || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode ||
			c[0].Path != "/" || c[0].Domain != "" || c[0].MaxAge != 14*24*3600 {
			t.Errorf("attack 24: got %v", c)
		}
		mine := cookie(w)
		if got := a.who(mine); got != "session:id-alice" {
			t.Errorf("got %s", got)
		}
		if w := a.do("POST", "/login", `{"username":"alice","password":"wrong"}`); w.Code != 401 || len(w.Result().Cookies()) != 0 ||
			w.Header().Get("WWW-Authenticate") != `Session realm="api"` {
			t.Errorf("a wrong password: %d %v", w.Code, w.Header())
		}
		if w := a.do("POST", "/logout", "", "Cookie", mine); w.Code != 204 || w.Result().Cookies()[0].MaxAge != -1 {
			t.Errorf("got %d %v", w.Code, w.Header())
		}
		if got := a.who(mine); got != unauthorized {
			t.Errorf("after logout: %s", got)
		}
		if w := a.do("POST", "/logout", "", "Cookie", mine); w.Code != 204 {
			t.Errorf("a second logout: %d", w.Code)
		}
		if got := a.take(); got != "session.created login.succeeded login.failed:invalid_credentials logout" {
			t.Errorf("events %q", got)
		}
	})
}

func TestRefusalTakesTheCookieAway(t *testing.T) {
	a := newApp(t, memory.New(nil), nil)
	w := a.do("GET", "/", "", "Cookie", "__Host-session=vss_junk")
	c := w.Result().Cookies()
	if w.Code != 401 || len(c) != 1 || c[0].Name != "__Host-session" || c[0].MaxAge != -1 || c[0].Value != "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	if got := a.reads(); got != 0 {
		t.Errorf("%d reads for junk", got)
	}
}

func TestEnds(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		ctx := t.Context()
		for name, end := range map[string]func(a *app){
			"idle":         func(a *app) { a.c.Set(14 * 24 * time.Hour) },
			"attack_123_a": func(a *app) { schemetest.Must(t, s.SetActive(ctx, "id-attack_123_a", false)) },
			"attack_123_b": func(a *app) { schemetest.Must(t, s.SetPassword(ctx, "id-attack_123_b", "x")) },
			"attack_123_c": func(a *app) { schemetest.Must(t, s.DeleteUser(ctx, "id-attack_123_c")) },
			"everywhere":   func(a *app) { _, err := s.BumpEpoch(ctx, "id-everywhere"); schemetest.Must(t, err) },
		} {
			t.Run(name, func(t *testing.T) {
				schemetest.Add(t, s, name)
				a := newApp(t, s, nil)
				mine := a.login(name)
				if got := a.who(mine); got != "session:id-"+name {
					t.Fatalf("before: %s", got)
				}
				end(a)
				if got := a.who(mine); got != unauthorized {
					t.Errorf("after: %s", got)
				}
			})
		}
	})
}

func TestUseMovesTheEnd(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, &session.Options{Idle: time.Hour, Absolute: 3 * time.Hour, Interval: 10 * time.Minute})
		mine := a.login("alice")
		writes := a.writes()
		for i := range 9 {
			a.c.Set(time.Duration(i) * time.Minute)
			a.who(mine)
		}
		if got := a.writes() - writes; got != 0 {
			t.Errorf("%d writes within an interval", got)
		}
		a.c.Set(-45 * time.Minute) // attack 118: one request jumps back
		a.who(mine)
		if got := a.writes() - writes; got != 1 {
			t.Errorf("%d writes of a time that was ahead", got)
		}
		for at := 10 * time.Minute; at < 3*time.Hour; at += 50 * time.Minute {
			a.c.Set(at)
			w := a.do("GET", "/", "", "Cookie", mine)
			left := min(time.Hour, 3*time.Hour-at)
			if c := w.Result().Cookies(); w.Code != 200 || len(c) != 1 || c[0].MaxAge != int(left.Seconds()) || "__Host-session="+c[0].Value != mine {
				t.Errorf("at %s: %d %v", at, w.Code, c)
			}
			if w.Header().Get("Vary") != "Cookie" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("attack 129: %v", w.Header())
			}
		}
		a.c.Set(3*time.Hour - time.Microsecond)
		if got := a.who(mine); got != "session:id-alice" {
			t.Errorf("before the absolute end: %s", got)
		}
		a.c.Set(3 * time.Hour)
		if got := a.who(mine); got != unauthorized {
			t.Errorf("at the absolute end: %s", got)
		}
	})
}

func TestChain(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, s, nil)
	mine := a.login("alice")
	for name, tc := range map[string]struct {
		headers []string
		status  int
		body    string
	}{
		"attack_022_bad_bearer":       {[]string{"Cookie", mine, "Authorization", "Bearer junk"}, 401, ""},
		"attack_023_bad_cookie":       {[]string{"Cookie", "__Host-session=junk", "Authorization", "Bearer id-bob"}, 200, "explicit:id-bob"},
		"attack_024_two_users":        {[]string{"Cookie", mine, "Authorization", "Bearer id-bob"}, 200, "explicit:id-bob"},
		"attack_017_percent":          {[]string{"Cookie", strings.Replace(mine, "__Host", "%5F%5FHost", 1)}, 200, ":"},
		"attack_018_two":              {[]string{"Cookie", mine + "; " + mine}, 401, ""},
		"attack_018_two_headers":      {[]string{"Cookie", mine, "Cookie", "__Host-session=x"}, 401, ""},
		"attack_018_other_case":       {[]string{"Cookie", mine + "; " + strings.Replace(mine, "__Host", "__hOsT", 1)}, 401, ""},
		"attack_018_other_case_alone": {[]string{"Cookie", strings.Replace(mine, "__Host", "__hOsT", 1)}, 401, ""},
		"attack_018_blank":            {[]string{"Cookie", mine + "; __Host-session =x"}, 401, ""},
		"without_its_prefix":          {[]string{"Cookie", mine[len("__Host-"):]}, 200, ":"},
		"beside_a_stranger":           {[]string{"Cookie", "session=planted; " + mine}, 200, "session:id-alice"},
		"attack_116_long":             {[]string{"Cookie", "__Host-session=" + strings.Repeat("a", 5000)}, 401, ""},
		"no_checksum":                 {[]string{"Cookie", "__Host-session=vss_" + strings.Repeat("A", 43) + "000000"}, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := a.do("GET", "/", "", tc.headers...)
			if w.Code != tc.status || w.Code == 200 && w.Body.String() != tc.body {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
	t.Run("attack_030_csrf_beside_authorization", func(t *testing.T) {
		w := a.do("POST", "/", "", "Cookie", mine, "Authorization", "x", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
		if w.Code != 403 {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
	t.Run("a_stale_cookie_never_blocks_a_login", func(t *testing.T) {
		for _, c := range []string{"__Host-session=junk", mine + "; " + mine, "__Host-session=vss_" + strings.Repeat("A", 49)} {
			if a.who(a.login("alice", "Cookie", c, "Authorization", "Bearer junk")) != "session:id-alice" {
				t.Errorf("%s: no login", c)
			}
		}
	})
}

func TestCrossSite(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, s, nil)
	mine := a.login("alice")
	token := session.Token(identity(t, a, mine))
	others := session.Token(identity(t, a, a.login("alice")))
	form := "application/x-www-form-urlencoded"
	gone := []string{"Origin", "", "Sec-Fetch-Site", ""}
	for name, tc := range map[string]struct {
		body    string
		headers []string
		status  int
	}{
		"same_origin":                      {"", nil, 200},
		"attack_124_cross_site":            {"", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		"attack_124_sibling":               {"", []string{"Origin", "https://x.app.example", "Sec-Fetch-Site", "same-site"}, 403},
		"attack_124_sibling_without":       {"", []string{"Origin", "https://x.app.example", "Sec-Fetch-Site", ""}, 403},
		"attack_124_null":                  {"", []string{"Origin", "null", "Sec-Fetch-Site", ""}, 403},
		"attack_124_form_without_a_token":  {"text=1", append(gone, "Content-Type", form), 403},
		"attack_124_text_plain":            {`{"a":1}`, append(gone, "Content-Type", "text/plain"), 403},
		"attack_124_no_type":               {`{"a":1}`, append(gone, "Content-Type", ""), 403},
		"attack_124_others_token":          {"text=1&csrfmiddlewaretoken=" + others, append(gone, "Content-Type", form), 403},
		"attack_124_upgrade":               {"", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Upgrade", "websocket"}, 403},
		"form_with_a_token":                {"text=1&csrfmiddlewaretoken=" + token, append(gone, "Content-Type", form), 200},
		"form_with_a_header":               {"text=1", append(gone, "Content-Type", form, "X-CSRFToken", token), 200},
		"a_program_with_json":              {`{"a":1}`, gone, 200},
		"attack_127_http_origin":           {"", []string{"Origin", "http://app.example", "Sec-Fetch-Site", ""}, 403},
		"attack_127_http_referer":          {`{"a":1}`, append(gone, "Referer", "http://app.example/x"), 403},
		"attack_127_foreign_referer":       {`{"a":1}`, append(gone, "Referer", "https://evil.example/https://app.example"), 403},
		"own_referer":                      {`{"a":1}`, append(gone, "Referer", "https://app.example/page"), 200},
		"attack_127_origin_right_far_site": {"", []string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			w := a.do("POST", "/", tc.body, append([]string{"Cookie", mine}, tc.headers...)...)
			if w.Code != tc.status {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if strings.HasPrefix(tc.body, "text=1") && w.Code == 200 && w.Header().Get("X-Body") != "1" {
				t.Error("the handler does not see the form")
			}
		})
	}
	t.Run("attack_125_login", func(t *testing.T) {
		w := a.do("POST", "/login", "username=alice&password=right", "Content-Type", form, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
		if w.Code != 403 || len(w.Result().Cookies()) != 0 {
			t.Errorf("got %d %v", w.Code, w.Header())
		}
		if w := a.do("POST", "/logout", "", "Cookie", mine, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); w.Code != 403 || a.who(mine) != "session:id-alice" {
			t.Errorf("logout: %d", w.Code)
		}
	})
	t.Run("attack_130_plain_http", func(t *testing.T) {
		r := a.request("GET", "/", "", "Cookie", mine)
		r.TLS = nil
		r.Header.Set("X-Forwarded-Proto", "https") // of a stranger
		w := httptest.NewRecorder()
		a.mux.ServeHTTP(w, r)
		if w.Code != 401 {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		r = a.request("POST", "/login", `{"username":"alice","password":"right"}`)
		r.TLS = nil
		w = httptest.NewRecorder()
		a.mux.ServeHTTP(w, r)
		if w.Code != 403 || len(w.Result().Cookies()) != 0 {
			t.Errorf("login: %d %v", w.Code, w.Header())
		}
	})
}

// identity returns the identity of the cookie's session.
func identity(t *testing.T, a *app, cookie string) authn.Identity {
	t.Helper()
	id, err := a.x.Authenticate(a.request("GET", "/", "", "Cookie", cookie))
	schemetest.Must(t, err)
	return id
}

func TestFixation(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		a := newApp(t, s, nil)
		t.Run("attack_110_own_id", func(t *testing.T) {
			planted := a.login("bob")
			mine := a.login("alice", "Cookie", planted)
			if mine == planted || a.who(mine) != "session:id-alice" || a.who(planted) != unauthorized {
				t.Error("the planted session lives")
			}
		})
		t.Run("attack_110_again", func(t *testing.T) {
			first := a.login("alice")
			second := a.login("alice", "Cookie", first)
			if first == second || a.who(first) != unauthorized || a.who(second) != "session:id-alice" {
				t.Error("a second login keeps the cookie")
			}
		})
		t.Run("attack_113_rename", func(t *testing.T) {
			old := a.login("alice")
			before := identity(t, a, old)
			w := httptest.NewRecorder()
			schemetest.Must(t, a.x.Regenerate(w, a.request("POST", "/", "", "Cookie", old)))
			next := cookie(w)
			if a.who(old) != unauthorized || a.who(next) != "session:id-alice" || session.SessionID(identity(t, a, next)) != session.SessionID(before) {
				t.Error("the old cookie lives, or the session is another")
			}
			if err := a.x.Regenerate(w, a.request("POST", "/", "", "Cookie", old)); err == nil {
				t.Error("an ended session was renamed")
			}
		})
	})
}

func TestFaults(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, s, nil)
	mine := a.login("alice")
	a.down(true)
	for _, w := range []*httptest.ResponseRecorder{
		a.do("GET", "/", "", "Cookie", mine), a.do("POST", "/logout", "", "Cookie", mine),
		a.do("POST", "/login", `{"username":"alice","password":"right"}`, "Cookie", mine),
		a.do("POST", "/login", `{"username":"alice","password":"right"}`),
	} {
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || len(w.Result().Cookies()) != 0 {
			t.Errorf("got %d %v", w.Code, w.Header())
		}
	}
	if w := a.do("GET", "/", ""); w.Code != 200 {
		t.Errorf("anonymous: %d", w.Code)
	}
	a.down(false)
	if got := a.who(mine); got != "session:id-alice" {
		t.Errorf("afterwards: %s", got)
	}
}

func TestManage(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		a := newApp(t, s, nil)
		phone, desk, bobs := a.login("alice", "User-Agent", "phone\x01"), a.login("alice"), a.login("bob")
		if w := a.do("GET", "/sessions", "", "Cookie", desk); w.Code != 200 || strings.Count(w.Body.String(), `"id"`) != 2 ||
			strings.Count(w.Body.String(), `"current":true`) != 1 || !strings.Contains(w.Body.String(), `"user_agent":"phone"`) {
			t.Errorf("attack 23: %d %s", w.Code, w.Body)
		}
		id := session.SessionID(identity(t, a, bobs))
		if w := a.do("DELETE", "/sessions/"+id, "", "Cookie", desk); w.Code != 404 || a.who(bobs) != "session:id-bob" {
			t.Errorf("another's session: %d", w.Code)
		}
		id = session.SessionID(identity(t, a, phone))
		if w := a.do("DELETE", "/sessions/"+id, "", "Cookie", desk); w.Code != 204 || a.who(phone) != unauthorized {
			t.Errorf("one's own: %d", w.Code)
		}
		phone = a.login("alice")
		if w := a.do("POST", "/others", "", "Cookie", desk); w.Code != 204 || a.who(phone) != unauthorized || a.who(desk) != "session:id-alice" {
			t.Errorf("the others: %d", w.Code)
		}
		if w := a.do("GET", "/sessions", ""); w.Code != 401 {
			t.Errorf("anonymous: %d", w.Code)
		}
	})
}

func TestAnonymousWritesNothing(t *testing.T) {
	a := newApp(t, memory.New(nil), nil)
	const many = 10000
	t.Run("attack_111_invented_and_none", func(t *testing.T) {
		for i := range many {
			a.do("GET", "/", "")
			a.do("GET", "/", "", "Cookie", "__Host-session=vss_"+strings.Repeat("A", 43))
			invented := "__Host-session=" + credential.MustFormat("vss").Encode([credential.Size]byte{byte(i), byte(i >> 8)})
			if w := a.do("GET", "/", "", "Cookie", invented); w.Code != 401 || strings.Contains(w.Header().Get("Set-Cookie"), "vss_") {
				t.Fatalf("got %d %v", w.Code, w.Header())
			}
		}
		if r, w := a.reads(), a.writes(); r != many || w != 0 {
			t.Errorf("%d reads, %d writes: one read for each that has a session's shape", r, w)
		}
	})
}

func TestMistakes(t *testing.T) {
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	s := memory.New(nil)
	for name, o := range map[string]session.Options{
		"a token cookie of the session's name": {TokenCookie: "Session"}, "a token cookie with a prefix": {TokenCookie: "__Host-csrftoken"},
		"attack_132_same_site_none": {SameSite: http.SameSiteNoneMode}, "prefix": {Cookie: "__Host-x"}, "prefix in other letters": {Cookie: "__hOSt-x"},
		"blank": {Cookie: "a b"}, "idle": {Idle: -1}, "absolute": {Idle: time.Hour, Absolute: time.Minute}, "interval": {Idle: time.Hour, Interval: time.Hour},
		"negative interval": {Interval: -2}, "realm": {Realm: `a"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := session.New(s, where, &o); err == nil {
				t.Error("taken")
			}
		})
	}
	if _, err := session.New(nil, where, nil); err == nil {
		t.Error("no rows")
	}
	if _, err := session.New(s, nil, nil); err == nil {
		t.Error("no site")
	}
}

// Every store implements Rows.
var _ session.Rows = interface {
	storage.Sessions
	storage.SessionList
	storage.Subjects
}(nil)
