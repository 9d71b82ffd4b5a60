package basic_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/basic"
)

// checker accepts one name and password, and records its calls.
type checker struct {
	name, password string
	err            error
	asked          atomic.Int64
}

func (c *checker) CheckPassword(_ *http.Request, name, password string) (authn.Login, error) {
	c.asked.Add(1)
	if c.err != nil {
		return authn.Login{}, c.err
	}
	if name != c.name || password != c.password {
		return authn.Login{}, authn.InvalidLogin()
	}
	return authn.Login{Subject: "1", Name: name, Roles: []string{"r"}, User: user("1"), Epoch: 5}, nil
}

type user string

func (u user) UserID() string { return string(u) }

func pair(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

func TestPairs(t *testing.T) {
	for _, x := range []struct{ header, name, password string }{
		{pair("alice:secret"), "alice", "secret"},
		{pair("alice:a:b:"), "alice", "a:b:"},
		{pair(":x"), "", "x"},
		{pair("alice:"), "alice", ""},
		{pair("юлия:пароль"), "юлия", "пароль"},
		{pair("m\xfcller:\xe4"), "müller", "ä"}, // Latin-1
		{strings.TrimRight(pair("alice:secrets"), "="), "alice", "secrets"},
		{"bAsIc \t " + pair("alice:secret")[6:] + " ", "alice", "secret"},
	} {
		s, err := basic.New(&checker{name: x.name, password: x.password}, nil)
		schemetest.Must(t, err)
		id, err := s.Authenticate(schemetest.With(x.header))
		if err != nil || id.Subject != "1" || id.Scheme != "basic" || id.User != authn.User(user("1")) || id.Delegated() {
			t.Errorf("%q: %+v, %v", x.header, id, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	c := &checker{name: "alice", password: "secret"}
	s, err := basic.New(c, nil)
	schemetest.Must(t, err)
	const encoding = "Invalid basic header. Credentials not correctly base64 encoded."
	for value, want := range map[string]string{
		"Basic": "Invalid basic header. No credentials provided.", "Basic a b": "Invalid basic header. Credentials string should not contain spaces.",
		"Basic %%%": encoding, "Basic am9o!bjpwdw==": encoding, pair("alice"): encoding, pair("alice:secret") + "A": encoding, "Basic YTpiYQ": "Invalid username/password.", "Basic YTpiYR": encoding,
		pair("alice:wrong"): "Invalid username/password.", pair("bob:secret"): "Invalid username/password.",
	} {
		_, err := s.Authenticate(schemetest.With(value))
		var e *authn.Error
		if !errors.As(err, &e) || e.Status != 401 || e.Detail != want {
			t.Errorf("%q: %v", value, err)
		}
	}
	for _, x := range []struct {
		err  error
		want int
	}{{authn.Throttled(time.Second), 429}, {&authn.Error{Status: 400, Members: []authn.Member{{Name: "password"}}}, 401}, {errors.New("down"), 0}, {&authn.Unavailable{Reason: "busy"}, 0}} {
		c.err = x.err
		_, err := s.Authenticate(schemetest.With(pair("alice:secret")))
		var e *authn.Error
		if got := errors.As(err, &e); got != (x.want != 0) || got && e.Status != x.want {
			t.Errorf("%v: %v", x.err, err)
		}
	}
	c.err = nil
	c.asked.Store(0)
	for header, want := range map[string]bool{"Sec-Fetch-Site: cross-site": false, "Origin: https://evil.example": false, "Origin: null": false, "Origin: http://example.com": true, "X: y": true,
		"Referer: https://evil.example/page": false, "Referer: http://example.com/page": true, "Referer: :": false} {
		r := httptest.NewRequest("POST", "http://example.com/", nil)
		r.Header.Set("Authorization", pair("alice:secret"))
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
		_, err := s.Authenticate(r)
		var e *authn.Error
		if (err == nil) != want || err != nil && (!errors.As(err, &e) || e.Status != 403) {
			t.Errorf("%s: %v", header, err)
		}
	}
	upgrade := httptest.NewRequest("GET", "http://example.com/", nil)
	upgrade.Header = http.Header{"Authorization": {pair("alice:secret")}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
	if _, err := s.Authenticate(upgrade); err == nil {
		t.Error("a page of another origin opened a socket")
	}
	if c.asked.Load() != 3 {
		t.Errorf("%d passwords were checked for 3 requests that may pass", c.asked.Load())
	}
	where, err := csrf.New("https://example.com", nil)
	schemetest.Must(t, err)
	sited, err := basic.New(c, &basic.Options{Site: where})
	schemetest.Must(t, err)
	for origin, want := range map[string]bool{"https://example.com": true, "http://example.com": false, "https://evil.example": false} {
		r := httptest.NewRequest("POST", "https://example.com/", nil)
		r.Header.Set("Authorization", pair("alice:secret"))
		r.Header.Set("Origin", origin)
		for _, x := range []*basic.Scheme{s, sited} { // the scheme counts, as far as it is known
			if _, err := x.Authenticate(r); (err == nil) != want {
				t.Errorf("%s: %v", origin, err)
			}
		}
	}
	for _, realm := range []string{`"`, "\\", "\r\n", "ü"} {
		if _, err := basic.New(c, &basic.Options{Realm: realm}); err == nil {
			t.Errorf("realm %q was taken", realm)
		}
	}
	if _, err := basic.New(nil, nil); err == nil {
		t.Error("no checker was taken")
	}
}

// No rejection quotes name or password, neither to the client nor in the log.
func TestNothingIsQuoted(t *testing.T) {
	s, err := basic.New(&checker{name: "alice", password: "right"}, nil)
	schemetest.Must(t, err)
	const secret = "s3cret-w0rd"
	for _, value := range []string{pair("alice:" + secret), pair(secret), pair("alice:"+secret) + "!", "Basic alice:" + secret, "Basic a " + secret, pair(secret + ":\xff")} {
		_, err := s.Authenticate(schemetest.With(value))
		if err == nil {
			t.Errorf("%q was taken", value)
		} else if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, value[6:]) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	s, err := basic.New(&checker{name: "alice", password: "secret"}, nil)
	schemetest.Must(f, err)
	for _, v := range []string{pair("alice:secret"), "Basic", "Basic =", pair("\xff:"), "basic  " + pair("a:b")[6:]} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{value}
		id, err := s.Authenticate(r)
		var e *authn.Error
		if err == nil && id.Subject != "1" || err != nil && !errors.Is(err, authn.ErrNoCredentials) && !errors.As(err, &e) {
			t.Errorf("%q: %+v, %v", value, id, err)
		}
	})
}
