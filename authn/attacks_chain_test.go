package authn_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
)

func ringOf(t testing.TB) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(keys.Generate())
	must(t, err)
	return r
}

func read(resp *http.Response) string {
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

func textLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// permutations calls f with every order of members.
func permutations(members []authn.Authenticator, f func(authn.Chain)) {
	var walk func(int)
	walk = func(k int) {
		if k == len(members) {
			f(append(authn.Chain(nil), members...))
			return
		}
		for i := k; i < len(members); i++ {
			members[k], members[i] = members[i], members[k]
			walk(k + 1)
			members[k], members[i] = members[i], members[k]
		}
	}
	walk(0)
}

// Section B of the catalogue: chain and scheme confusion.
func TestAttacksOnTheChain(t *testing.T) {
	w := newWorld(t)
	all := []authn.Authenticator{cookies{"sid"}, w.bearer, w.token, w.basic}
	pair := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:wonderland-42"))

	t.Run("attack_021_credentials_of_other_schemes", func(t *testing.T) {
		const jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."
		knox := strings.Replace(w.good, "vst_", "vkn_", 1)
		mux := w.mux(authn.Chain(all))
		for _, keyword := range []string{"Token", "Bearer", "Basic"} {
			for _, text := range []string{jwt, knox, strings.Repeat("a", 40), strings.Repeat("0", 64), "junk", w.good + "="} {
				for _, path := range []string{"/closed", "/open"} {
					if got := ask(mux, "GET", path, "Authorization: "+keyword+" "+text); got.Code != 401 {
						t.Errorf("%s %.12s… on %s: %d", keyword, text, path, got.Code)
					}
				}
			}
		}
		if got := ask(mux, "GET", "/open", "Authorization: Basic "+w.good); got.Code != 401 {
			t.Errorf("a token as Basic: %d", got.Code)
		}
	})
	// 22, 23 and 24 on every order of the chain.
	t.Run("attack_022_attack_023_attack_024_explicit_and_ambient", func(t *testing.T) {
		n := 0
		permutations(all, func(c authn.Chain) {
			n++
			mux := w.mux(c)
			for _, x := range []struct {
				authorization, cookie string
				code                  int
				body                  string
			}{
				{"Bearer junk", "alice", 401, ""},
				{"Token junk", "alice", 401, ""},
				{"Bearer " + w.good + "x", "alice", 401, ""},
				{"Basic YTpi", "alice", 401, ""},
				{"Bearer", "alice", 400, ""},
				{"Bearer " + w.good, "bad", 200, "alice/token"},
				{"Bearer " + w.good, "broken", 200, "alice/token"},
				{"Token " + w.other, "alice", 200, "bob/token"},
				{"Bearer " + w.other, "alice", 200, "bob/token"},
				{pair, "bob", 200, "alice/basic"},
				{"Unknown abc", "bob", 200, "bob/session"},
				{"", "bob", 200, "bob/session"},
				{"", "bad", 401, ""},
				{"", "broken", 503, ""},
			} {
				headers := []string{"Cookie: sid=" + x.cookie}
				if x.authorization != "" {
					headers = append(headers, "Authorization: "+x.authorization)
				}
				got := ask(mux, "GET", "/open", headers...)
				if got.Code != x.code || x.code == 200 && got.Body.String() != x.body {
					t.Errorf("order %v, %.12q and cookie %s: %d %s, want %d %s", names(c), x.authorization, x.cookie, got.Code, got.Body, x.code, x.body)
				}
			}
		})
		if n != 24 {
			t.Fatalf("%d orders", n)
		}
		got := ask(authn.New(authn.Chain(all), nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, authn.FromContext(r.Context()).Roles)
		})), "GET", "/", "Cookie: sid=alice", "Authorization: Token "+w.other)
		if got.Body.String() != "[]" {
			t.Errorf("the token's user has roles of the cookie's: %s", got.Body)
		}
	})
	t.Run("attack_025_a_fault_stops_the_chain", func(t *testing.T) {
		down := authn.Func(func(*http.Request) (authn.Identity, error) { return authn.Identity{}, errors.New("database is down") })
		mux := w.mux(authn.Chain{down, w.token})
		for _, path := range []string{"/closed", "/open"} {
			got := ask(mux, "GET", path, "Authorization: Token "+w.good)
			if got.Code != 503 || got.Header().Get("Retry-After") == "" || strings.Contains(got.Body.String(), "database") {
				t.Errorf("%d %v %s", got.Code, got.Header(), got.Body)
			}
		}
	})
	t.Run("attack_026_nobody_and_no_error", func(t *testing.T) {
		for name, id := range map[string]authn.Identity{"zero": {}, "roles only": {Roles: []string{"admin"}}, "scheme only": {Scheme: "x"}} {
			mux := w.mux(authn.Func(func(*http.Request) (authn.Identity, error) { return id, nil }))
			for _, path := range []string{"/closed", "/open", "/admin"} {
				if got := ask(mux, "GET", path); got.Code != 503 {
					t.Errorf("%s on %s: %d", name, path, got.Code)
				}
			}
		}
	})
	t.Run("attack_027_panic", func(t *testing.T) {
		const secret = "canary-5b1c"
		for name, f := range map[string]func(){
			"runtime error": func() { var s []int; _ = s[len(s)] },
			"text":          func() { panic("token " + secret) },
			"error":         func() { panic(errors.New(secret)) },
			"abort":         func() { panic(http.ErrAbortHandler) },
		} {
			log := new(strings.Builder)
			bad := authn.Func(func(*http.Request) (authn.Identity, error) { f(); return authn.Identity{Subject: "x"}, nil })
			h := authn.New(authn.Chain{bad, w.token}, &authn.Options{Logger: textLog(log)}).Handler(http.HandlerFunc(who))
			got := ask(h, "GET", "/", "Authorization: Token "+w.good)
			if got.Code != 503 || got.Header().Get("Retry-After") == "" {
				t.Errorf("%s: %d", name, got.Code)
			}
			if !strings.Contains(log.String(), "panic in a scheme") || strings.Contains(log.String()+got.Body.String(), secret) {
				t.Errorf("%s: log %s", name, log)
			}
		}
	})
	t.Run("attack_028_bad_credential_on_an_open_route", func(t *testing.T) {
		mux := w.mux(authn.Chain(all))
		for _, h := range []string{"Authorization: Token junk", "Authorization: Bearer junk", "Authorization: Basic junk", "Cookie: sid=bad"} {
			if got := ask(mux, "GET", "/open", h); got.Code != 401 {
				t.Errorf("%s: %d", h, got.Code)
			}
		}
		if got := ask(mux, "GET", "/open", "Authorization: Unknown junk"); got.Code != 200 {
			t.Errorf("an unknown keyword: %d", got.Code)
		}
	})
	t.Run("attack_029_mistakes_of_construction", func(t *testing.T) {
		var nilScheme *token.Scheme
		f := authn.Func(func(*http.Request) (authn.Identity, error) { return authn.Identity{}, authn.ErrNoCredentials })
		for name, bad := range map[string]authn.Authenticator{
			"nil": nil, "a typed nil": nilScheme, "a nil member": authn.Chain{w.token, nil}, "a nil function": authn.Func(nil),
			"twice": authn.Chain{w.token, w.basic, w.token}, "twice, nested": authn.Chain{w.token, authn.Chain{w.token}}, "twice, by value": authn.Chain{cookies{"a"}, cookies{"a"}},
		} {
			if authn.Check(bad) == nil {
				t.Errorf("%s: Check finds nothing", name)
			}
			if !panics(func() { authn.New(bad, nil) }) {
				t.Errorf("%s: New took it", name)
			}
		}
		if _, err := (authn.Chain{nil}).Authenticate(httptest.NewRequest("GET", "/", nil)); err == nil || errors.Is(err, authn.ErrNoCredentials) {
			t.Errorf("a nil member, asked directly: %v", err)
		}
		must(t, authn.Check(authn.Chain{f, authn.Func(f), w.token, w.bearer, w.basic, cookies{"a"}, cookies{"b"}}))
		if authn.Check(authn.Chain{}) == nil {
			t.Error("Check finds nothing about an empty chain")
		}
		if got := ask(w.mux(authn.Chain{}), "GET", "/closed", "Authorization: Token "+w.good); got.Code != 403 {
			t.Errorf("an empty chain: %d", got.Code)
		}
		if _, err := (authn.Chain{}).Authenticate(httptest.NewRequest("GET", "/", nil)); err != authn.ErrNoCredentials {
			t.Errorf("an empty chain: %v", err)
		}
	})
	t.Run("attack_030_csrf_check_beside_an_authorization", func(t *testing.T) {
		// Basic is ambient. The check applies whenever Basic identifies the request, whatever else
		// the request contains.
		mux := w.mux(authn.Chain{w.token, w.basic})
		for headers, want := range map[string]int{
			"Origin: https://evil.example": 403, "Sec-Fetch-Site: cross-site": 403, "Sec-Fetch-Site: same-site": 403, "X-Authorization: x": 200, "Sec-Fetch-Site: same-origin": 200,
		} {
			if got := ask(mux, "POST", "/closed", "Authorization: "+pair, headers); got.Code != want {
				t.Errorf("%s: %d, want %d", headers, got.Code, want)
			}
		}
		if got := ask(mux, "POST", "/closed", "Authorization: Token "+w.good, "Sec-Fetch-Site: cross-site"); got.Code != 200 {
			t.Errorf("a token is not ambient: %d", got.Code)
		}
	})
	t.Run("attack_031_inner_refusal_wins", func(t *testing.T) {
		outer := authn.New(authn.Chain{w.token}, nil)
		inner := authn.New(authn.Func(func(r *http.Request) (authn.Identity, error) {
			if r.Header.Get("X-Bad") != "" {
				return authn.Identity{}, authn.AuthenticationFailed("no")
			}
			return authn.Identity{}, authn.ErrNoCredentials
		}), &authn.Options{Logger: quiet})
		h := outer.Handler(inner.Handler(http.HandlerFunc(who)))
		if got := ask(h, "GET", "/", "Authorization: Token "+w.good, "X-Bad: 1"); got.Code != 403 {
			t.Errorf("inner refusal: %d", got.Code)
		}
		if got := ask(h, "GET", "/", "Authorization: Token "+w.good); got.Body.String() != "/" {
			t.Errorf("the outer identity shows through: %s", got.Body)
		}
	})
	t.Run("attack_032_basic_is_for_users", func(t *testing.T) {
		mux := w.mux(authn.Chain{w.basic})
		client := base64.StdEncoding.EncodeToString([]byte("demo-confidential:demo-secret"))
		if got := ask(mux, "GET", "/open", "Authorization: Basic "+client); got.Code != 401 {
			t.Errorf("a client's credentials: %d", got.Code)
		}
	})
	t.Run("attack_033_two_schemes_claim_one_shape", func(t *testing.T) {
		make := func(o token.Options) authn.Authenticator {
			s, err := token.New(w.store, ringOf(t), &o)
			must(t, err)
			return s
		}
		for _, bad := range []authn.Chain{
			{make(token.Options{}), make(token.Options{})},
			{make(token.Options{Keyword: "Bearer"}), make(token.Options{Keyword: "bearer"})},
			{w.token, authn.Chain{make(token.Options{})}},
		} {
			if !panics(func() { authn.New(bad, nil) }) {
				t.Error("New took two schemes that claim the same tokens")
			}
		}
		authn.New(authn.Chain{make(token.Options{}), make(token.Options{Prefix: "xyz"}), make(token.Options{Format: token.Hex40}), make(token.Options{Keyword: "Other"})}, nil)
	})
}

func names(c authn.Chain) (all []string) {
	for _, a := range c {
		n, _ := authn.AbilityOf[authn.Namer](a)
		all = append(all, n.Name())
	}
	return all
}

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}
