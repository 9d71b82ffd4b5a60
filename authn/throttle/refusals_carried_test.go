package throttle_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// carried reads its credentials from a header or a cookie. "good…" belongs to the account before
// the first "/".
type carried struct {
	header, cookie string
	asked          int
}

func (c *carried) Authenticate(r *http.Request) (authn.Identity, error) {
	text := r.Header.Get(c.header)
	if c.cookie != "" {
		text, _ = authn.Cookie(r, c.cookie)
	}
	if text == "" {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	return c.check(text)
}

func (c *carried) check(text string) (authn.Identity, error) {
	c.asked++
	if account, _, _ := strings.Cut(text, "/"); strings.HasPrefix(text, "good") {
		return authn.Identity{Subject: account}, nil
	}
	return authn.Identity{}, authn.AuthenticationFailed("Invalid key.")
}

func (c *carried) Headers() []string {
	if c.cookie != "" {
		return []string{"Cookie"}
	}
	return []string{c.header}
}

func (c *carried) CredentialCookies() []string {
	if c.cookie != "" {
		return []string{c.cookie}
	}
	return nil
}

func (*carried) Challenge(*http.Request, error) string { return "Key" }

// low are limits of 2 and 20 a minute, and no more for networks.
var low = throttle.RefusalOptions{Limit: throttle.Rate{Limit: 2, Window: time.Minute}, Networks: [3]int{1, 1, 1}}

// The many credentials of one account do not evict those of other accounts, from any address.
func TestRefusalsManyCredentialsOfOneAccount_attack_500(t *testing.T) {
	const nat = "198.51.100.1:9"
	for name, from := range map[string]func(i int) string{
		"the same address": func(int) string { return nat },
		"a botnet":         func(i int) string { return fmt.Sprintf("[2001:%x::1]:9", i) },
	} {
		t.Run(name, func(t *testing.T) {
			k := &carried{header: "X-Api-Key"}
			d := newDoorOf(t, low, k)
			send := func(addr, key string) int {
				r, w := from2(addr, "X-Api-Key", key), httptest.NewRecorder()
				d.h.ServeHTTP(w, r)
				return w.Code
			}
			junk := func(addr string, n int) {
				for i := range n {
					send(addr, "bad"+strconv.Itoa(i))
				}
			}
			junk(nat, 50)
			d.c.add(2 * time.Second)
			for i := range 5 { // a busy network: it has more of them than each of the others
				if code := send(nat, "good-victim/"+strconv.Itoa(i)); code != 200 {
					t.Fatal(code)
				}
			}
			for i := range 11_000 {
				if name == "a botnet" {
					junk(from(i), 4)
				}
				if code := send(from(i), "good-mine/"+strconv.Itoa(i)); code != 200 {
					t.Fatalf("%d: %d", i, code)
				}
			}
			junk(nat, 100)
			if code := send(nat, "good-other/1"); code != 429 {
				t.Fatalf("the address is not paused: %d", code)
			}
			for i := range 5 {
				if code := send(nat, "good-victim/"+strconv.Itoa(i)); code != 200 {
					t.Errorf("a known credential of the victim: %d", code)
				}
			}
			if code := send(nat, "good-mine/10999"); name != "a botnet" && code != 200 {
				t.Errorf("the last credential of the account: %d", code)
			}
		})
	}
}

func from2(addr, header, value string) *http.Request {
	r := from(addr)
	r.Header.Set(header, value)
	return r
}

// Invalid credentials are limited in every place of a request, and known credentials are accepted
// there.
func TestRefusalsWhereverCarried_attack_501(t *testing.T) {
	const one = "192.0.2.1:1"
	for name, header := range map[string]string{"header": "X-Api-Key", "cookie": "Cookie"} {
		t.Run(name, func(t *testing.T) {
			k, prefix := &carried{header: header}, ""
			if header == "Cookie" {
				k, prefix = &carried{cookie: "sid"}, "sid="
			}
			d := newDoorOf(t, low, k)
			stops(t, d, &k.asked, func(text string) *http.Request { return from2(one, header, prefix+text) })
			r, w := from(one), httptest.NewRecorder()
			r.AddCookie(&http.Cookie{Name: "other", Value: "x"})
			if d.h.ServeHTTP(w, r); w.Code != 200 {
				t.Errorf("without a credential: %d", w.Code)
			}
		})
	}
	t.Run("body", func(t *testing.T) {
		k := new(carried)
		d := newDoorOf(t, low, k)
		d.h = d.m.Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text := r.PostFormValue("token")
			own, err := authn.AdmitOwn(r, text)
			if err == nil {
				var id authn.Identity
				if id, err = k.check(text); err == nil {
					own.Accepted(id, text+"-next")
					return
				}
			}
			authn.Respond(w, r, err)
		}))
		stops(t, d, &k.asked, func(text string) *http.Request {
			r := from(one)
			r.PostForm = map[string][]string{"token": {text}}
			return r
		})
		r, w := from(one), httptest.NewRecorder()
		r.PostForm = map[string][]string{"token": {"good-known-next"}}
		if d.h.ServeHTTP(w, r); w.Code != 200 {
			t.Errorf("what the answer had in its place: %d", w.Code)
		}
		r, w = from2(one, "Authorization", "Bearer good-known"), httptest.NewRecorder()
		r.PostForm = map[string][]string{"token": {"bad-beside"}}
		if d.h.ServeHTTP(w, r); w.Code != 429 {
			t.Errorf("junk beside a known credential: %d", w.Code)
		}
	})
	t.Run("own header", func(t *testing.T) {
		k := &carried{header: "X-Api-Key"}
		d := newDoorOf(t, low, new(keyed))
		d.h = d.m.Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := authn.AuthenticateOwn(k, r); err != nil {
				authn.Respond(w, r, err)
			}
		}))
		stops(t, d, &k.asked, func(text string) *http.Request { return from2(one, "X-Api-Key", text) })
	})
	t.Run("Authorization without a keyword", func(t *testing.T) {
		k := &carried{header: "Authorization"}
		d := newDoorOf(t, low, k)
		stops(t, d, &k.asked, func(text string) *http.Request { return from2(one, "Authorization", text) })
	})
}

// stops sends a flood of junk and checks what is looked up.
func stops(t *testing.T, d *door, asked *int, ask func(text string) *http.Request) {
	t.Helper()
	got := map[int]int{}
	send := func(text string) int {
		w := httptest.NewRecorder()
		d.h.ServeHTTP(w, ask(text))
		return w.Code
	}
	for i := range 10 {
		got[send("bad"+strconv.Itoa(i))]++
	}
	if got[401]+got[403] != 2 || got[429] != 8 {
		t.Errorf("%v, want 2 answers of 401", got)
	}
	if code := send("good-known"); code != 200 {
		t.Fatalf("a good one: %d", code)
	}
	before := *asked
	for i := range 1000 {
		send("bad" + strconv.Itoa(i))
	}
	if n := *asked - before; n > 30 {
		t.Errorf("%d of 1,000 were looked up", n)
	}
	if code := send("good-new"); code != 429 {
		t.Errorf("a new one: %d", code)
	}
	if code := send("good-known"); code != 200 {
		t.Errorf("a known one: %d", code)
	}
}

// A page of another site does not use up the limits of its visitors' addresses.
func TestRefusalsCausedByAnotherSite_attack_502(t *testing.T) {
	const visitor = "192.0.2.1:1"
	d := newDoorOf(t, low, authn.Func(anyName))
	send := func(site string) int {
		r, w := from2(visitor, "Authorization", "Basic eDp5"), httptest.NewRecorder()
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		d.h.ServeHTTP(w, r)
		return w.Code
	}
	counts := func(site string) (n int) {
		for range 50 {
			if send(site) != 429 {
				n++
			}
		}
		return n
	}
	if n := counts("cross-site"); n != 2 {
		t.Errorf("navigations to https://x:y@app.example: %d", n)
	}
	if n := counts("same-origin"); n != 2 {
		t.Errorf("the visitor's own: %d, want 2", n)
	}
}
