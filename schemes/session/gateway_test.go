package session_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A gateway drops the cookies in the response to its subrequest, so nothing is exchanged there.
// Otherwise the next use of the old cookie would look like theft.
func TestRememberBehindAGateway(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := remembering(t, s, session.RememberOptions{})
		b := visit(t, a, "alice")
		a.c.Set(2 * time.Hour) // the session has ended
		for range 3 {
			for _, cookies := range []string{b.memo, b.session + "; " + b.memo} {
				r := a.request("GET", "/", "", "Cookie", cookies)
				w := httptest.NewRecorder()
				a.mux.ServeHTTP(w, r.WithContext(authn.WithSubrequest(r.Context())))
				if strings.Contains(w.Body.String(), "alice") || strings.Contains(strings.Join(w.Result().Header["Set-Cookie"], " "), "vsr_") {
					t.Fatalf("edge_A04: %d %s %v", w.Code, w.Body, w.Header())
				}
			}
			a.c.Set(3 * time.Hour)
		}
		if got := b.who(); got != aliceIn {
			t.Errorf("edge_A04: afterwards the browser is %q", got)
		}
		if events := a.take(); strings.Contains(events, "refresh.reuse") {
			t.Errorf("edge_A04: events %q", events)
		}
	})
}

// A session over plain HTTP is rejected like any invalid one. The log names the option.
func TestPlainHTTPIsExplained(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, s, nil)
	cookie := a.login("alice")
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	ring, err := keys.NewRing(keys.Generate())
	schemetest.Must(t, err)
	sealed, err := session.NewSealed(ring, where, nil)
	schemetest.Must(t, err)
	b := remembering(t, s, session.RememberOptions{})
	memo := visit(t, b, "alice").memo
	for name, tc := range map[string]struct {
		x      authn.Authenticator
		cookie string
	}{
		"rows": {a.x, cookie}, "sealed": {sealed, "__Host-session=x"}, "remembered": {b.x, memo},
	} {
		t.Run("edge_C11/"+name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://app.example/", nil)
			r.RemoteAddr = "172.17.0.1:4711"
			r.Header.Set("Cookie", tc.cookie)
			r.Header.Set("X-Forwarded-Proto", "https")
			_, err := tc.x.Authenticate(r)
			var e *authn.Error
			if !errors.As(err, &e) || e.Status != 401 || strings.Contains(e.Detail, "http") {
				t.Fatalf("got %v", err)
			}
			reason := e.Unwrap().Error()
			if !strings.Contains(reason, "csrf.Options.Proxies") || !strings.Contains(reason, "172.17.0.1") || strings.Contains(reason, strings.SplitN(tc.cookie, "=", 2)[1]+"\"") {
				t.Errorf("the log says %q", reason)
			}
		})
	}
}
