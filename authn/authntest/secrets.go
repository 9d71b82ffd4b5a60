package authntest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// leak returns the beginning of a secret that occurs in text, or "".
func (p *probe) leak(text string) string {
	if p.known == nil {
		p.known = append([]string{}, p.secrets()...)
	}
	for _, s := range p.known {
		if strings.Contains(text, s) {
			return fmt.Sprintf("%.6s… (%d bytes)", s, len(s))
		}
	}
	return ""
}

func secretInError(p *probe) {
	check := func(what string, o outcome, q *probe) {
		if o.err == nil {
			return
		}
		text := fmt.Sprintf("%v %+v %#v", o.err, o.err, o.err)
		for err := o.err; err != nil; err = errors.Unwrap(err) {
			text += " " + err.Error()
		}
		var e *authn.Error
		if errors.As(o.err, &e) && e != nil {
			text += all(reflect.ValueOf(*e))
		}
		if s := q.leak(text); s != "" {
			p.Errorf("%s: the error contains %s", what, s)
		}
	}
	for what, add := range p.rejected() {
		check(what, p.ask(add), p)
	}
	for what, s := range changed(p.text(p.Good)) {
		if !strings.Contains(s, p.text(p.Good)) { // not the secret: another text can be logged, and other rules test its rejection
			continue
		}
		for _, name := range p.carriers() {
			r := p.request(p.Good)
			r.Header.Set(name, strings.Replace(r.Header.Get(name), p.text(p.Good), s, 1))
			check("Good with "+what, p.call(r), p)
		}
	}
	for _, e := range append(p.events(), event{"Fail", p.Fail}) {
		if e.do == nil {
			continue
		}
		q := p.another()
		if e.name == "Fail" {
			q.Fail()
		} else {
			q.end(e.name)
		}
		check("Good after "+e.name, q.ask(q.Good), q)
	}
}

func secretInIdentity(p *probe) {
	p.identities(func(what string, id authn.Identity) {
		text := fmt.Sprintf("%+v %#v %+v %+v", id, id, id.User, id.Credential)
		if j, err := json.Marshal(id); err == nil {
			text += string(j)
		}
		if s := p.leak(text + all(reflect.ValueOf(id))); s != "" {
			p.Errorf("%s: the identity contains %s", what, s)
		}
	})
}

// all returns the texts that handlers can read in a value: those in exported fields, and in values
// that these point to.
func all(v reflect.Value) string {
	var b strings.Builder
	seen := map[any]bool{}
	var walk func(v reflect.Value, depth int)
	walk = func(v reflect.Value, depth int) {
		if !v.IsValid() || depth > 10 {
			return
		}
		switch v.Kind() {
		case reflect.String:
			b.WriteString(v.String() + "\n")
		case reflect.Interface:
			walk(v.Elem(), depth+1)
		case reflect.Pointer:
			if !v.IsNil() && !seen[v.Pointer()] {
				seen[v.Pointer()] = true
				walk(v.Elem(), depth+1)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i), depth+1)
				}
			}
		case reflect.Slice, reflect.Array:
			if v.Type().Elem().Kind() == reflect.Uint8 {
				fmt.Fprintf(&b, "%s\n", v.Interface())
				return
			}
			for i := range v.Len() {
				walk(v.Index(i), depth+1)
			}
		case reflect.Map:
			for it := v.MapRange(); it.Next(); {
				walk(it.Key(), depth+1)
				walk(it.Value(), depth+1)
			}
		}
	}
	walk(v, 0)
	return b.String()
}

// challenges calls f with each challenge of the scheme, for each credential and error.
func (p *probe) challenges(f func(what, challenge string)) {
	c, _ := authn.AbilityOf[authn.Challenger](p.Scheme)
	errs := map[string]error{
		"ErrNoCredentials": authn.ErrNoCredentials, "NotAuthenticated": authn.NotAuthenticated(), "AuthenticationFailed": authn.AuthenticationFailed(""),
		"BadRequest": authn.BadRequest(""), "insufficient scope": &authn.Error{Status: http.StatusForbidden, Code: authn.CodeInsufficientScope, Detail: "x", Scopes: []string{"read", "write"}},
	}
	p.refusals(func(what string, err error) { errs[what] = err })
	bare := &http.Request{Method: "GET", URL: p.request(nil).URL}
	requests := map[string]*http.Request{"a bare request": bare}
	for what, add := range p.everything() {
		requests[what] = p.request(add)
	}
	for of, r := range requests {
		for what, err := range errs {
			func() {
				defer func() {
					if v := recover(); v != nil {
						f(of+", "+what, fmt.Sprintf("\x00a panic: %v", v))
					}
				}()
				f(of+", "+what, c.Challenge(r, err))
			}()
			var e *authn.Error
			if errors.As(err, &e) && e != nil && e.Challenge != "" {
				f(what+", Error.Challenge", e.Challenge)
			}
		}
	}
}

func secretInChallenge(p *probe) {
	p.challenges(func(what, challenge string) {
		if s := p.leak(challenge); s != "" {
			p.Errorf("%s: the challenge contains %s", what, s)
		}
	})
}

func secretInLog(p *probe) {
	check := func(what string, q *probe) {
		if s := q.leak(q.Written()); s != "" {
			p.Errorf("%s: the log or the events contain %s", what, s)
		}
	}
	for what, add := range p.everything() {
		_ = p.ask(add)
		check(what, p)
	}
	for _, e := range append(p.events(), event{"Fail", p.Fail}) {
		if e.do == nil {
			continue
		}
		q := p.another()
		if e.name == "Fail" {
			q.Fail()
		} else {
			q.end(e.name)
		}
		_ = q.ask(q.Good)
		check("Good after "+e.name, q)
	}
}
