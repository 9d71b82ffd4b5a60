package conformance

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// mutation breaks one requirement of a server: a handler between the client and the server changes
// requests or responses.
type mutation struct {
	what string
	wrap func(f *fixture, next http.Handler) http.Handler
}

// The paths of the endpoints.
const (
	authorizePath = "/oauth2/authorize"
	tokenPath     = "/oauth2/token"
	userInfoPath  = "/oauth2/userinfo"
	pushPath      = "/oauth2/par"
	keysPath      = "/oauth2/jwks"
	registerPath  = "/oauth2/register"
	logoutPath    = "/oauth2/logout"
	openIDPath    = "/.well-known/openid-configuration"
	metadataPath  = "/.well-known/oauth-authorization-server"
)

// reply is a response that a mutation changes.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// asked changes the parameters of requests to a path.
func asked(what, path string, edit func(url.Values)) mutation {
	return requested(what, path, func(_ *fixture, _ *http.Request, v url.Values) { edit(v) })
}

// requested is asked with the request, whose header can be changed, too.
func requested(what, path string, edit func(*fixture, *http.Request, url.Values)) mutation {
	return mutation{what, func(f *fixture, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				r = r.Clone(r.Context())
				v := parameters(r)
				edit(f, r, v)
				replace(r, v)
			}
			next.ServeHTTP(w, r)
		})
	}}
}

// parameters returns the query, or the form, of a request and leaves the request as it was.
func parameters(r *http.Request) url.Values {
	if r.Method != http.MethodPost {
		return r.URL.Query()
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	v, _ := url.ParseQuery(string(body))
	return v
}

func replace(r *http.Request, v url.Values) {
	text := v.Encode()
	if r.Method != http.MethodPost {
		r.URL.RawQuery = text
		return
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
}

// answered changes the responses of a path.
func answered(what, path string, edit func(f *fixture, r *http.Request, v url.Values, a *reply)) mutation {
	return mutation{what, func(f *fixture, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				next.ServeHTTP(w, r)
				return
			}
			v := parameters(r)
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			a := reply{rec.Code, rec.Header(), rec.Body.Bytes()}
			edit(f, r, v, &a)
			maps.Copy(w.Header(), a.header)
			w.Header().Del("Content-Length")
			w.WriteHeader(a.status)
			_, _ = w.Write(a.body)
		})
	}}
}

// said changes the JSON of successful responses of a path.
func said(what, path string, edit func(map[string]any)) mutation {
	return answered(what, path, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) { a.edit(edit) })
}

func (a *reply) edit(edit func(map[string]any)) {
	var m map[string]any
	if a.status >= 300 || json.Unmarshal(a.body, &m) != nil || m == nil {
		return
	}
	edit(m)
	a.body, _ = json.Marshal(m)
}

// without removes a member of the JSON of a path.
func without(path, name string) mutation {
	return said("no "+name, path, func(m map[string]any) { delete(m, name) })
}

// member sets a member of the JSON of a path.
func member(path, name string, value any) mutation {
	return said("another "+name, path, func(m map[string]any) { m[name] = value })
}

// header sets a header of the responses of a path.
func header(path, name, value string) mutation {
	return answered("another "+name, path, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) { a.header.Set(name, value) })
}

// ignored removes a parameter of requests, as a server that ignores it.
func ignored(path, name string) mutation {
	return asked(name+" is ignored", path, func(v url.Values) { v.Del(name) })
}

// sentBack changes the responses that the browser carries to a client.
func sentBack(what string, edit func(url.Values)) mutation {
	return answered(what, authorizePath, func(_ *fixture, r *http.Request, _ url.Values, a *reply) {
		to, err := url.Parse(a.header.Get("Location"))
		switch {
		case a.status == http.StatusSeeOther && err == nil && to.Host != r.Host && to.Host != "":
			v := to.Query()
			edit(v)
			to.RawQuery = v.Encode()
			a.header.Set("Location", to.String())
		case bytes.Contains(a.body, []byte("document.forms[0].submit()")):
			v := fields(string(a.body))
			edit(v)
			a.form(attributes(formTag.FindString(string(a.body)))["action"], v)
		}
	})
}

// form makes a reply the page that posts a response.
func (a *reply) form(to string, v url.Values) {
	var page strings.Builder
	page.WriteString(`<form method="post" action="` + html.EscapeString(to) + `">`)
	for _, name := range slices.Sorted(maps.Keys(v)) {
		page.WriteString(`<input type="hidden" name="` + html.EscapeString(name) + `" value="` + html.EscapeString(v.Get(name)) + `">`)
	}
	page.WriteString(`</form><script>document.forms[0].submit()</script>`)
	a.status, a.body = http.StatusOK, []byte(page.String())
	a.header.Del("Location")
	a.header.Set("Content-Type", "text/html")
	a.header.Set("Referrer-Policy", "origin")
}

// sendBack makes a reply a response to the client of a request.
func (a *reply) sendBack(f *fixture, q, v url.Values) {
	v.Set("iss", f.issuer)
	if q.Has("state") {
		v.Set("state", q.Get("state"))
	}
	if q.Get("response_mode") == "form_post" {
		a.form(q.Get("redirect_uri"), v)
		return
	}
	mark := "?"
	if strings.Contains(q.Get("redirect_uri"), "?") {
		mark = "&"
	}
	a.status = http.StatusSeeOther
	a.header.Set("Location", q.Get("redirect_uri")+mark+v.Encode())
}

// refuses rejects authorization requests that have a parameter.
func refuses(what string, when func(url.Values) bool) mutation {
	return answered(what, authorizePath, func(f *fixture, _ *http.Request, q url.Values, a *reply) {
		if q.Has("redirect_uri") && when(q) {
			a.sendBack(f, q, url.Values{"error": {"invalid_request"}})
		}
	})
}

// refusesParameter is refuses for one parameter.
func refusesParameter(name string) mutation {
	return refuses(name+" is rejected", func(q url.Values) bool { return q.Has(name) })
}

// redirectsErrors sends the errors that belong on a page to the redirect URI of the request.
var redirectsErrors = answered("errors are sent to any redirect URI", authorizePath, func(f *fixture, _ *http.Request, q url.Values, a *reply) {
	if a.status >= 400 {
		a.sendBack(f, q, url.Values{"error": {"invalid_request"}})
	}
})

// issuesCodes sends a code wherever the server sends an error.
var issuesCodes = sentBack("every request succeeds", func(v url.Values) {
	if v.Has("error") {
		v.Del("error")
		v.Del("error_description")
		v.Set("code", "vac_0123456789abcdefghijklmnopqrstuvwxyz")
	}
})

// succeeds makes a path repeat its last success, or an invented one, instead of an error.
func succeeds(what, path string, invented string) mutation {
	return mutation{what, func(f *fixture, next http.Handler) http.Handler {
		last := reply{http.StatusOK, http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}, []byte(invented)}
		return answered(what, path, func(_ *fixture, _ *http.Request, _ url.Values, a *reply) {
			if a.status >= 400 {
				*a = last
			} else {
				last = reply{a.status, a.header.Clone(), bytes.Clone(a.body)}
			}
		}).wrap(f, next)
	}}
}

// issuesAnyway makes the token endpoint issue tokens again instead of an error.
var issuesAnyway = succeeds("the token endpoint never refuses", tokenPath, `{"access_token":"x","token_type":"DPoP","expires_in":60}`)

// fails makes a path answer with a status if a request meets a condition.
func fails(what, path string, status int, when func(*http.Request, url.Values) bool) mutation {
	return answered(what, path, func(_ *fixture, r *http.Request, v url.Values, a *reply) {
		if when(r, v) {
			*a = reply{status, http.Header{"Content-Type": {"application/json"}}, []byte(`{"error":"invalid_request"}`)}
		}
	})
}

// claimed changes the header and the claims of ID tokens and signs them again with the server's key.
func claimed(what string, edit func(f *fixture, header, claims map[string]any)) mutation {
	return answered(what, tokenPath, func(f *fixture, _ *http.Request, _ url.Values, a *reply) {
		a.edit(func(m map[string]any) {
			text, _ := m["id_token"].(string)
			if header, claims, err := parts(text); err == nil {
				edit(f, header, claims)
				m["id_token"] = f.signing.sign(header, claims)
			}
		})
	})
}

// claim sets a claim of ID tokens; nil removes it.
func claim(name string, value any) mutation {
	return claimed("another "+name+" in the ID token", func(_ *fixture, _, claims map[string]any) {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	})
}

// kept repeats the first value of a claim in every ID token.
func kept(name string) mutation {
	return mutation{name + " never changes", func(f *fixture, next http.Handler) http.Handler {
		var first any
		return claimed("", func(_ *fixture, _, claims map[string]any) {
			if first == nil {
				first = claims[name]
			}
			claims[name] = first
		}).wrap(f, next)
	}}
}
