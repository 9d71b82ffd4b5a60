package jwt_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// With CloseGraceOnUse, a lost response is not repeated for another client address after its tokens
// were used.
func TestNarrowGrace(t *testing.T) {
	for name, c := range map[string]struct {
		on, use bool
		from    string
		want    int
	}{
		"used_elsewhere": {true, true, "198.51.100.7:1", 401}, "used_tab": {true, true, "192.0.2.1:9", 200},
		"unused": {true, false, "198.51.100.7:1", 200}, "off": {false, true, "198.51.100.7:1", 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, jwt.Options{CloseGraceOnUse: c.on})
			first := w.issue(t)
			w.clock.Pass(time.Minute)
			refresh := func(from string) *httptest.ResponseRecorder {
				r := httptest.NewRequest("POST", "/", strings.NewReader(`{"refresh":"`+first.Refresh+`"}`))
				r.Header.Set("Content-Type", "application/json")
				r.RemoteAddr = from
				rec := httptest.NewRecorder()
				w.RefreshPair().ServeHTTP(rec, r)
				return rec
			}
			got := refresh("192.0.2.1:1")
			if got.Code != http.StatusOK {
				t.Fatal(got.Code, got.Body)
			}
			access := strings.Split(got.Body.String(), `"`)[3]
			if c.use && w.status(access) != 200 {
				t.Fatal("the new access token is refused")
			}
			if again := refresh(c.from); again.Code != c.want || c.want == 200 && again.Body.String() != got.Body.String() {
				t.Errorf("%d %s", again.Code, again.Body)
			}
			if alive := w.status(access) == 200; alive != (c.want == 200) {
				t.Errorf("the login lives on: %t", alive)
			}
		})
	}
}
