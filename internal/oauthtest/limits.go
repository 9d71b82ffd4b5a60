package oauthtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
)

// From posts a form from an address.
func (w *World) From(addr string, h http.Handler, form string, headers ...string) Reply {
	r := httptest.NewRequest("POST", Issuer+"/x", strings.NewReader(form))
	r.RemoteAddr = addr
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return Reply{Status: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
}

// Address is the n-th of many, each in a network of its own.
func Address(n int) string {
	if n%2 == 0 {
		return fmt.Sprintf("[%x:%x:%x::1]:1234", 0x2400+n/2%101, n/2/101%200, n/2/101/200)
	}
	return fmt.Sprintf("%d.%d.%d.1:1234", 11+n/2%101, n/2/101%200, n/2/101/200)
}

func WithLimits(o *Options) {
	o.InsecureNoLimits = false
	o.DPoP = &DPoP{}
	o.Registration = &Registration{Allow: func(*http.Request) error { return nil }, Scopes: []string{"read"}}
}

func (w *World) Registers(addr string) Reply {
	return w.From(addr, w.Register(), `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}`, "Content-Type", "application/json")
}
