package oauthtest

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Allows answers the consent page of the request with yes, and exchanges the code.
func (w *World) Allows(alice *authn.Identity, client, query string) Reply {
	w.T.Helper()
	handle := HandleOf(w.T, w.Authorizes(alice, "GET", query, ""))
	rec := w.Authorizes(alice, "POST", "", "handle="+url.QueryEscape(handle)+"&decision=allow")
	_, text, _ := strings.Cut(rec.Header().Get("Location"), "?")
	v, _ := url.ParseQuery(text)
	q, _ := url.ParseQuery(query)
	got := w.Post(w.Token(), client, "grant_type", "authorization_code", "client_id", q.Get("client_id"), "code", v.Get("code"), "redirect_uri", q.Get("redirect_uri"), "code_verifier", Verifier)
	if got.Status != 200 {
		w.T.Fatalf("%d %s", got.Status, got.Body)
	}
	return got
}

// Asks reports whether the request leads to the consent page, rather than to a code at once.
func (w *World) Asks(alice *authn.Identity, query string) bool {
	w.T.Helper()
	rec := w.Authorizes(alice, "GET", query, "")
	_, text, _ := strings.Cut(rec.Header().Get("Location"), "?")
	v, _ := url.ParseQuery(text)
	switch {
	case rec.Code == 200 && handleField.MatchString(rec.Body.String()):
		return true
	case rec.Code == 303 && v.Get("code") != "" && v.Get("iss") == Issuer:
		return false
	}
	w.T.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	return false
}

// RevokesGrant ends a grant as its user.
func (w *World) RevokesGrant(alice *authn.Identity, id string) {
	w.T.Helper()
	mux := http.NewServeMux()
	mux.Handle("/grants/{id}", w.RevokeGrant())
	if rec := w.Behind(mux, alice, "DELETE", "/grants/"+id, ""); rec.Code != 204 {
		w.T.Errorf("%d %s", rec.Code, rec.Body)
	}
}
