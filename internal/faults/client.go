//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

// patience is how long a client waits for an answer. The servers' own deadlines are shorter.
const patience = 8 * time.Second

// confidential is the demo client of examples/compare.
const confidential = "demo-confidential"

// public is the name that browsers know the servers by, and cookieName the cookie of a session there.
const (
	public     = "app.example"
	cookieName = "__Host-session"
)

// credential is what a login returned, with what is known about it.
type credential struct {
	kind, sub, family string
	text              string // the access token or the cookie
	refresh           string
	born              int64 // when it was issued
}

// client makes calls, and records each.
type client struct {
	w    *world
	rec  *history.Recorder
	hmac []byte
	http *http.Client
	id   int
	seen func(secrets ...string) // remembers what must be in no output
	from string                  // the address that the calls come from; "": 192.0.2.1
}

// answer is what came back.
type answer struct {
	status int
	res    string
	retry  bool
	body   []byte
	cookie string
	t0, t1 int64
}

func (c *client) hash(text string) string {
	if text == "" {
		return ""
	}
	m := hmac.New(sha256.New, c.hmac)
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil)[:8])
}

// call sends one request. auth is the value of Authorization, or a cookie if it begins with
// "Cookie:".
func (c *client) call(r *replica, method, path, auth, kind string, body []byte) answer {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(body))
	if err != nil {
		panic(err) // a mistake of this program
	}
	// As a balancer that ends TLS does.
	req.Host = public
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-For", cmp.Or(c.from, "192.0.2.1"))
	if cookie, ok := strings.CutPrefix(auth, "Cookie:"); ok {
		req.Header.Set("Cookie", cookieName+"="+cookie)
		req.Header.Set("Origin", "https://"+public)
	} else if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	a := answer{res: history.Unknown, t0: c.rec.Now()}
	resp, err := c.http.Do(req)
	if err == nil {
		a.body, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		resp.Body.Close()
	}
	a.t1 = c.rec.Now()
	if err != nil {
		return a
	}
	a.status, a.retry = resp.StatusCode, resp.Header.Get("Retry-After") != ""
	for _, k := range resp.Cookies() {
		if k.Name == cookieName && k.Value != "" {
			a.cookie = k.Value
		}
	}
	switch {
	case a.status < 300:
		a.res = history.Yes
	case a.status == http.StatusTooManyRequests:
		a.res = history.Limited
	case a.status == 400 || a.status == 401 || a.status == 403:
		a.res = history.No
	}
	return a
}

func (c *client) event(r *replica, op string, a answer) history.Event {
	return history.Event{T0: a.t0, T1: a.t1, Client: c.id, Rep: r.name, Op: op, Status: a.status, Res: a.res, Retry: a.retry}
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

func form(pairs ...string) []byte {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return []byte(v.Encode())
}

func (c *client) login(r *replica, kind string, u account) (*credential, bool) {
	var a answer
	sub := u.name
	if kind == "jwt" {
		done, ok := r.issueJWT()
		if !ok {
			return nil, false
		}
		defer done()
	}
	switch kind {
	case "oauth2":
		sub = confidential
		a = c.call(r, "POST", "/oauth2/token", "Basic "+basic(confidential, "demo-secret"), formType, form("grant_type", "client_credentials", "scope", "profile"))
	default:
		path := map[string]string{"token": "/token/login", "knox": "/knox/login", "jwt": "/jwt/token", "session": "/session/login"}[kind]
		a = c.call(r, "POST", path, "", formType, form("username", u.name, "password", u.password))
	}
	cred := &credential{kind: kind, sub: sub}
	var reply struct {
		Token, Access, Refresh string
		AccessToken            string `json:"access_token"`
	}
	if a.res == history.Yes {
		_ = json.Unmarshal(a.body, &reply)
		cred.text, cred.refresh = reply.Token+reply.Access+reply.AccessToken, reply.Refresh
		if kind == "session" {
			cred.text = a.cookie
		}
	}
	if cred.text == "" {
		e := c.event(r, history.Login, a)
		e.Sub, e.Kind = sub, kind
		c.rec.Add(e)
		return nil, false
	}
	if cred.refresh != "" {
		cred.family = c.hash("family " + cred.refresh)
	}
	c.issued(r, a, cred)
	return cred, true
}

func (c *client) issued(r *replica, a answer, cred *credential) {
	c.seen(cred.text, cred.refresh)
	cred.born = a.t1
	e := c.event(r, history.Issue, a)
	e.Cred, e.Family, e.Sub, e.Kind = c.hash(cred.text), cred.family, cred.sub, cred.kind
	c.rec.Add(e)
}

// header returns what presents a credential.
func (cred *credential) header() string {
	switch cred.kind {
	case "session":
		return "Cookie:" + cred.text
	case "token":
		return "Token " + cred.text
	case "knox":
		return "Knox " + cred.text
	}
	return "Bearer " + cred.text
}

func (c *client) use(r *replica, cred *credential) answer {
	wrong := r.wrongClock.Load()
	a := c.call(r, "GET", "/api/"+cred.kind+"/profile", cred.header(), "", nil)
	if cred.kind == "jwt" && a.res == history.No && (wrong || r.wrongClock.Load()) {
		a.res = history.Unknown // issued "in the future" there; that it is accepted would still count
	}
	e := c.event(r, history.Use, a)
	e.Cred, e.Family, e.Sub, e.Kind = c.hash(cred.text), cred.family, cred.sub, cred.kind
	var who struct{ Username, Client string }
	if a.res == history.Yes {
		_ = json.Unmarshal(a.body, &who)
		e.Owner = who.Username
		if cred.kind == "oauth2" {
			e.Owner = who.Client
		}
	}
	c.rec.Add(e)
	return a
}

// revoke ends one credential, or the family of a JWT.
func (c *client) revoke(r *replica, cred *credential) answer {
	var a answer
	op := history.Revoke
	switch cred.kind {
	case "jwt":
		op = history.EndFamily
		body, _ := json.Marshal(map[string]string{"refresh": cred.refresh}) // cannot fail
		a = c.call(r, "POST", "/jwt/token/blacklist", "", jsonType, body)
	case "oauth2":
		a = c.call(r, "POST", "/oauth2/revoke", "Basic "+basic(confidential, "demo-secret"), formType, form("token", cred.text))
	default:
		a = c.call(r, "POST", "/"+cred.kind+"/logout", cred.header(), "", nil)
	}
	e := c.event(r, op, a)
	e.Cred, e.Family, e.Sub, e.Kind = c.hash(cred.text), cred.family, cred.sub, cred.kind
	if op == history.EndFamily {
		e.Cred = c.hash(cred.refresh)
	}
	c.rec.Add(e)
	return a
}

// everywhere logs the account of a credential out everywhere.
func (c *client) everywhere(r *replica, cred *credential) answer {
	a := c.call(r, "POST", "/logout-everywhere", cred.header(), "", nil)
	e := c.event(r, history.Everywhere, a)
	e.Sub, e.Kind = cred.sub, cred.kind
	c.rec.Add(e)
	return a
}

// renew uses a refresh token. It returns the new credential of the same family.
func (c *client) renew(r *replica, cred *credential) (*credential, answer) {
	done, ok := r.issueJWT()
	if !ok {
		return nil, answer{res: history.Unknown}
	}
	defer done()
	body, _ := json.Marshal(map[string]string{"refresh": cred.refresh}) // cannot fail
	a := c.call(r, "POST", "/jwt/token/refresh", "", jsonType, body)
	e := c.event(r, history.Refresh, a)
	e.Cred, e.Family, e.Sub, e.Kind = c.hash(cred.refresh), cred.family, cred.sub, cred.kind
	c.rec.Add(e)
	if a.res != history.Yes {
		return nil, a
	}
	next := &credential{kind: "jwt", sub: cred.sub, family: cred.family}
	var reply struct{ Access, Refresh string }
	_ = json.Unmarshal(a.body, &reply)
	next.text, next.refresh = reply.Access, reply.Refresh
	if next.text == "" {
		return nil, a
	}
	c.issued(r, a, next)
	return next, a
}
