package authntest

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"

	"github.com/vestibule-auth/vestibule/authn"
)

// keptBy returns the type of the scheme if a middleware keeps the identity of Good, or "".
func keptBy(w *World) string {
	table, err := authn.NewTable(nil)
	if err != nil {
		return ""
	}
	send := through(w.Scheme, authn.Options{Table: table})
	for range 4 {
		r := httptest.NewRequest("GET", target, nil)
		w.Good(r)
		send(r)
	}
	if table.Usage().Entries == 0 {
		return ""
	}
	return fmt.Sprintf("%T", w.Scheme)
}

func keptSame(p *probe) {
	if p.alone("Good").kind() != accepted || p.another().locks() || p.ask(nil).kind() != absent {
		return // other rules report it
	}
	for _, differs := range keptDiffers(&p.World) {
		p.Errorf("a kept identity is used for a request for which Authenticate has another result: %s", differs)
	}
}

// keptEnds returns the rule that a kept identity is no longer used after an event.
func keptEnds(name string) func(*probe) {
	return func(p *probe) {
		q := p.another()
		_ = q.ask(q.Good)
		q.end(name)
		if !q.ask(q.Good).kind().refused() || p.ask(p.Good).kind() != accepted {
			return // the rule without kept_ reports it
		}
		send := through(p.Scheme, authn.Options{})
		for range 3 {
			if a := send(p.request(p.Good)); a.status != http.StatusNoContent {
				return // rule chain reports it
			}
		}
		p.end(name)
		if a := send(p.request(p.Good)); a.status < 400 {
			p.Errorf("Good after %s, through a middleware that kept its identity: status %d, want 401", name, a.status)
		}
	}
}

// opaque hides from a middleware that a scheme is a Keeper.
type opaque struct{ authn.Authenticator }

func (o opaque) Unwrap() authn.Authenticator { return o.Authenticator }

// answer is the result of a middleware for a request.
type answer struct {
	Status  int
	Subject string
	Client  string
	Issuer  string
	Scheme  string
	Roles   []string
	Scopes  []string
	User    string
}

func answerOf(a authn.Authenticator, r *http.Request) func(*http.Request) answer {
	var out answer
	h := authn.New(a, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		out = answer{Subject: id.Subject, Client: id.Client, Issuer: id.Issuer, Scheme: id.Scheme, Roles: id.Roles, Scopes: id.Scopes}
		if id.User != nil {
			out.User = id.User.UserID()
		}
	}))
	do := func(r *http.Request) answer {
		out = answer{}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		out.Status = w.Code
		return out
	}
	for range 3 { // from the second request on, the identity may be kept
		do(r.Clone(r.Context()))
	}
	return do
}

// keptDiffers returns the changes of a request after which a middleware that keeps identities has
// another result than a middleware that calls the scheme. The cause is that Presented omits
// something on which Authenticate depends, and Keep.Check does not check it.
func keptDiffers(s *World) (found []string) {
	good := func() *http.Request {
		r := httptest.NewRequest("GET", "https://example.com/a?b=c", nil)
		s.Good(r)
		return r
	}
	changes := map[string]func(*http.Request){
		"nothing": func(*http.Request) {}, "method": func(r *http.Request) { r.Method = "POST" }, "path": func(r *http.Request) { r.URL.Path = "/other" },
		"query": func(r *http.Request) { r.URL.RawQuery = "b=d&tenant=other" }, "host": func(r *http.Request) { r.Host = "other.example" },
		"peer": func(r *http.Request) { r.RemoteAddr = "198.51.100.7:1" }, "TLS": func(r *http.Request) { r.TLS = nil },
		"client certificate": func(r *http.Request) { r.TLS = &tls.ConnectionState{ServerName: "other.example"} },
		"origin": func(r *http.Request) {
			r.Method = "POST"
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		},
		"websocket": func(r *http.Request) {
			r.Header.Set("Upgrade", "websocket")
			r.Header.Set("Origin", "https://evil.example")
		},
		"another cookie": func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "other", Value: "x"}) },
	}
	first := good()
	names := []string{"X-Tenant", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "User-Agent", "Accept"}
	for name := range first.Header {
		names = append(names, name)
	}
	if h, ok := s.Scheme.(authn.HeaderReader); ok {
		names = append(names, h.Headers()...)
	}
	for _, name := range names {
		changes["header "+name+" set"] = func(r *http.Request) { r.Header.Set(name, "other") }
		changes["header "+name+" twice"] = func(r *http.Request) { r.Header.Add(name, r.Header.Get(name)) }
		changes["header "+name+" removed"] = func(r *http.Request) { r.Header.Del(name) }
		changes["header "+name+" longer"] = func(r *http.Request) { r.Header.Set(name, r.Header.Get(name)+"x") }
	}
	for _, c := range first.Cookies() {
		changes["cookie "+c.Name+" twice"] = func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: "x"}) }
	}
	kept, called := answerOf(s.Scheme, good()), answerOf(opaque{s.Scheme}, good())
	for what, change := range changes {
		a, b := good(), good()
		change(a)
		change(b)
		if got, want := kept(a), called(b); !reflect.DeepEqual(got, want) {
			found = append(found, fmt.Sprintf("%s: %+v, and by Authenticate %+v", what, got, want))
		}
	}
	return found
}
