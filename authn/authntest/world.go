package authntest

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// World is a scheme to test, with the credentials and the events that the rules need. Scheme, Good
// and Bad are required. Each other field enables further rules. Set every field that applies to
// your scheme, because rules without their field are skipped.
//
// A credential is a function that adds it to a request without credentials. It also sets everything
// else that the scheme needs to accept it, such as Request.TLS or RemoteAddr. It must be safe for
// concurrent use and can be called any number of times.
//
// Use a store that returns the error of a canceled context, as a database does. To test kept
// identities ([authn.Keeper]), put storage/cached or another store with leases in front of it.
type World struct {
	// Scheme is the scheme to test.
	Scheme authn.Authenticator
	// Good is a credential that is accepted.
	Good func(*http.Request)
	// Bad are credentials that are rejected. The key says what is wrong with the credential.
	Bad map[string]func(*http.Request)

	// Unknown is a credential in the right format that was never issued.
	Unknown func(*http.Request)
	// Other is an accepted credential of another account.
	Other func(*http.Request)
	// Scoped is an accepted credential that is limited to one or more scopes.
	Scoped func(*http.Request)
	// Scopeless is an accepted credential that is limited to an empty list of scopes.
	Scopeless func(*http.Request)

	// Expire moves the clock of the scheme to the time at which Good expires.
	Expire func()
	// Revoke revokes Good.
	Revoke func()
	// Disable disables the account of Good.
	Disable func()
	// LogoutEverywhere raises the epoch of Good's account, for example with
	// storage.Subjects.BumpEpoch, and does nothing else. If it also deleted the records, the rule
	// would only test what Revoke tests.
	LogoutEverywhere func()
	// Fail makes each later call of the scheme's store, or of another dependency, fail.
	Fail func()

	// Secrets are texts that must not occur in errors, identities, challenges and Written. nil
	// means every credential above that has at least 8 bytes: the value of the header without its
	// keyword, the values of cookies, and the password of Basic. If the credentials are not
	// secrets, such as names from a trusted proxy, set an empty list.
	Secrets []string
	// Written returns everything that the scheme has written to its log and sent as audit events,
	// in a format that contains all values, such as fmt.Sprintf("%+v").
	Written func() string
}

// event is an event after which Good is rejected.
type event struct {
	name string
	do   func()
}

// events returns the events that are set.
func (w *World) events() (list []event) {
	for _, e := range []event{{"Expire", w.Expire}, {"Revoke", w.Revoke}, {"Disable", w.Disable}, {"LogoutEverywhere", w.LogoutEverywhere}} {
		if e.do != nil {
			list = append(list, e)
		}
	}
	return list
}

// rejected returns the credentials that are rejected, by name.
func (w *World) rejected() map[string]func(*http.Request) {
	all := map[string]func(*http.Request){}
	for name, add := range w.Bad {
		all[`Bad["`+name+`"]`] = add
	}
	if w.Unknown != nil {
		all["Unknown"] = w.Unknown
	}
	return all
}

// accepted returns the credentials that are accepted, by name.
func (w *World) accepted() map[string]func(*http.Request) {
	all := map[string]func(*http.Request){}
	for name, add := range map[string]func(*http.Request){"Good": w.Good, "Other": w.Other, "Scoped": w.Scoped, "Scopeless": w.Scopeless} {
		if add != nil {
			all[name] = add
		}
	}
	return all
}

// everything returns all credentials, by name.
func (w *World) everything() map[string]func(*http.Request) {
	all := w.accepted()
	maps.Copy(all, w.rejected())
	return all
}

// has reports whether a field is set, or whether the scheme implements an interface such as
// "authn.Keeper".
func (w *World) has(part string) bool {
	switch part {
	case "":
		return true
	case "authn.Namer":
		_, ok := authn.AbilityOf[authn.Namer](w.Scheme)
		return ok
	case "authn.Challenger":
		_, ok := authn.AbilityOf[authn.Challenger](w.Scheme)
		return ok
	case "authn.HeaderReader":
		_, ok := w.Scheme.(authn.HeaderReader)
		return ok
	case "authn.FormatDeclarer":
		_, ok := authn.AbilityOf[authn.FormatDeclarer](w.Scheme)
		return ok && w.header(w.Good).Get("Authorization") != ""
	case "authn.Ambient":
		a, ok := authn.AbilityOf[authn.Ambient](w.Scheme)
		return ok && a.Ambient() || slices.Contains(w.declared(), "Cookie")
	}
	f := reflect.ValueOf(w).Elem().FieldByName(part)
	return f.IsValid() && !f.IsNil()
}

// declared returns the headers that the scheme declares, or nil.
func (w *World) declared() []string {
	if h, ok := authn.AbilityOf[authn.HeaderReader](w.Scheme); ok {
		return h.Headers()
	}
	return nil
}

// header returns the headers that a credential sets.
func (w *World) header(add func(*http.Request)) http.Header {
	r := httptest.NewRequest("GET", target, nil)
	add(r)
	return r.Header
}

// carriers returns the headers with credentials: those that Good sets and the scheme declares, or
// all that Good sets.
func (w *World) carriers() (names []string) {
	set, declared := w.header(w.Good), w.declared()
	for name := range set {
		if slices.Contains(declared, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		for name := range set {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// text returns the credential without its keyword: the text after the last space of the header, or
// the value of the first cookie.
func (w *World) text(add func(*http.Request)) string {
	h := w.header(add)
	for _, name := range w.carriers() {
		if name == "Cookie" {
			if c := cookies(h); len(c) > 0 {
				return c[0].Value
			}
			continue
		}
		v := h.Get(name)
		return v[strings.LastIndexByte(v, ' ')+1:]
	}
	return ""
}

// secrets returns the texts that must not occur anywhere.
func (w *World) secrets() (list []string) {
	if w.Secrets != nil {
		return w.Secrets
	}
	keep := func(s string) {
		if len(s) >= 8 && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	for _, add := range w.everything() {
		h := w.header(add)
		for _, name := range w.carriers() {
			if name == "Cookie" {
				for _, c := range cookies(h) {
					keep(c.Value)
				}
				continue
			}
			for _, v := range h[name] {
				text := v[strings.LastIndexByte(v, ' ')+1:]
				keep(text)
				if raw, err := base64.StdEncoding.DecodeString(text); err == nil && strings.HasPrefix(strings.ToLower(v), "basic ") {
					_, password, _ := strings.Cut(string(raw), ":")
					keep(password)
				}
			}
		}
	}
	return list
}

func cookies(h http.Header) []*http.Cookie {
	return (&http.Request{Header: http.Header{"Cookie": h["Cookie"]}}).Cookies()
}
