package oauthtest

import (
	"net/http"
)

// RefreshFrom exchanges a refresh token from an address.
func (w *World) RefreshFrom(address, token string) Reply {
	h := w.Token()
	return w.Post(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = address
		h.ServeHTTP(rw, r)
	}), "app", "grant_type", "refresh_token", "refresh_token", token)
}
