package jwt_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

func TestEndpoints(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	login := post(w.Login(anyone), `{"username":"alice","password":"x","name":"my phone"}`)
	pair := fields(t, login)
	if login.Code != 200 || w.status(pair["access"]) != 200 || !strings.HasPrefix(pair["refresh"], "vrt_") || len(pair) != 2 ||
		login.Header().Get("Cache-Control") != "no-store" || len(login.Result().Cookies()) != 1 {
		t.Errorf("login: %d %v", login.Code, login.Header())
	}
	if list, err := w.List(t.Context(), "id-alice", 10); err != nil || len(list) != 1 || list[0].Name != "my phone" {
		t.Errorf("%v, %v", list, err)
	}
	const invalid = `{"detail":"Token is invalid","code":"token_not_valid"}`
	junk := strings.Repeat("x", 20)
	for name, x := range map[string]struct {
		h    http.Handler
		body string
		code int
		want string
	}{
		"wrong password":        {w.Login(schemetest.Nobody{}), `{"username":"a","password":"b"}`, 401, `{"detail":"Unable to log in with provided credentials.","code":"invalid_credentials"}`},
		"missing fields":        {w.Login(anyone), `{}`, 400, `{"username":["This field is required."],"password":["This field is required."]}`},
		"a long name":           {w.Login(anyone), `{"username":"a","password":"b","name":"` + strings.Repeat("x", 256) + `"}`, 400, `{"name":["Ensure this field has no more than 255 bytes."]}`},
		"refresh missing":       {w.RefreshPair(), `{}`, 400, `{"refresh":["This field is required."]}`},
		"refresh blank":         {w.RefreshPair(), `{"refresh":""}`, 400, `{"refresh":["This field may not be blank."]}`},
		"refresh junk":          {w.RefreshPair(), `{"refresh":"` + junk + `"}`, 401, invalid},
		"refresh by access":     {w.RefreshPair(), `{"refresh":"` + pair["access"] + `"}`, 401, invalid},
		"no JSON":               {w.RefreshPair(), `{`, 400, `{"detail":"Malformed request: the body is not JSON."}`},
		"verify access":         {w.Verify(), `{"token":"` + pair["access"] + `"}`, 200, "{}\n"},
		"verify refresh":        {w.Verify(), `{"token":"` + pair["refresh"] + `"}`, 200, "{}\n"},
		"verify junk":           {w.Verify(), `{"token":"` + junk + `"}`, 401, invalid},
		"verify missing":        {w.Verify(), `{}`, 400, `{"token":["This field is required."]}`},
		"blacklist junk":        {w.Blocklist(), `{"refresh":"` + junk + `"}`, 401, invalid},
		"blacklist an access":   {w.Blocklist(), `{"refresh":"` + pair["access"] + `"}`, 401, invalid},
		"verify another's":      {w.Verify(), `{"token":"` + newWorld(t, jwt.Options{}).issue(t).Access + `"}`, 401, invalid},
		"verify other issuer's": {w.Verify(), `{"token":"` + w.sign(t, "at+jwt", map[string]any{"iss": "x"}) + `"}`, 401, invalid},
	} {
		rec := post(x.h, x.body)
		if rec.Code != x.code || rec.Body.String() != x.want || rec.Code == 401 && !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: %d %q %v", name, rec.Code, rec.Body, rec.Header()["Www-Authenticate"])
		}
	}
	for name, h := range map[string]http.Handler{"login": w.Login(anyone), "refresh": w.RefreshPair(), "verify": w.Verify(), "blacklist": w.Blocklist(), "logout": w.Logout()} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if rec.Code != 405 || rec.Header().Get("Allow") != "POST" {
			t.Errorf("GET %s: %d", name, rec.Code)
		}
	}
	next := post(w.RefreshPair(), `{"refresh":"`+pair["refresh"]+`"}`)
	second := fields(t, next)
	if next.Code != 200 || second["refresh"] == pair["refresh"] || w.status(second["access"]) != 200 || next.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("refresh: %d %s", next.Code, next.Body)
	}
	if rec := post(w.Verify(), `{"token":"`+pair["refresh"]+`"}`); rec.Code != 401 {
		t.Errorf("verify of an exchanged token: %d", rec.Code)
	}
	for range 2 {
		if rec := post(w.Blocklist(), `{"refresh":"`+second["refresh"]+`"}`); rec.Code != 200 || rec.Body.String() != "{}\n" {
			t.Errorf("blacklist: %d %s", rec.Code, rec.Body)
		}
	}
	if w.status(second["access"]) != 401 || w.status(pair["access"]) != 401 || post(w.RefreshPair(), `{"refresh":"`+second["refresh"]+`"}`).Code != 401 {
		t.Error("something lives after the blacklist")
	}
	rec := httptest.NewRecorder()
	w.JWKS().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if set, err := jose.ParseJWKS(rec.Body.Bytes()); err != nil || len(set) != 1 || rec.Header().Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("%s, %v", rec.Body, err)
	}
	rec = httptest.NewRecorder()
	w.JWKS().ServeHTTP(rec, httptest.NewRequest("POST", "/", nil))
	if rec.Code != 405 {
		t.Errorf("POST: %d", rec.Code)
	}
}

// A client that lost the response of a refresh and repeats it stays logged in. The use of an older
// token revokes the family.
func TestLostAnswer(t *testing.T) {
	for _, signed := range []bool{false, true} {
		w := newWorld(t, jwt.Options{SignedRefresh: signed})
		first := w.issue(t)
		ask := func(text string) (map[string]string, int) {
			rec := post(w.RefreshPair(), `{"refresh":"`+text+`"}`)
			return fields(t, rec), rec.Code
		}
		lost, code := ask(first.Refresh)
		if code != 200 {
			t.Fatal(code)
		}
		w.clock.Pass(9 * time.Second)
		again, code := ask(first.Refresh)
		if code != 200 || again["refresh"] != lost["refresh"] || again["access"] != lost["access"] {
			t.Errorf("asked again: %d", code)
		}
		third, code := ask(again["refresh"])
		if code != 200 || w.status(third["access"]) != 200 {
			t.Errorf("after that: %d", code)
		}
		if _, code := ask(first.Refresh); code != 401 || w.status(third["access"]) != 401 {
			t.Errorf("an older token: %d", code)
		}
		off := newWorld(t, jwt.Options{SignedRefresh: signed, Grace: jwt.NoGrace})
		p := off.issue(t)
		if q, code := off.refreshes(t, p.Refresh); code != 200 {
			t.Errorf("strict: %d", code)
		} else if _, code := off.refreshes(t, p.Refresh); code != 401 || off.status(q.Access) != 401 {
			t.Errorf("strict, again: %d", code)
		}
	}
}

func TestSliding(t *testing.T) {
	w := newWorld(t, jwt.Options{Sliding: true})
	rec := post(w.LoginSliding(anyone), `{"username":"a","password":"b"}`)
	token := fields(t, rec)["token"]
	if rec.Code != 200 || w.status(token) != 200 {
		t.Fatalf("%d", rec.Code)
	}
	slide := func(text string) (string, int) {
		rec := post(w.RefreshSliding(), `{"token":"`+text+`"}`)
		return fields(t, rec)["token"], rec.Code
	}
	w.clock.Pass(6 * time.Minute)
	if w.status(token) != 401 {
		t.Error("accepted after its expiry")
	}
	next, code := slide(token)
	if code != 200 || w.status(next) != 200 {
		t.Errorf("%d", code)
	}
	w.clock.Pass(24*time.Hour - 7*time.Minute)
	last, code := slide(next)
	if code != 200 || w.status(last) != 200 {
		t.Errorf("shortly before its end: %d", code)
	}
	w.clock.Pass(time.Minute)
	if _, code := slide(last); code != 401 || w.status(last) != 401 {
		t.Errorf("at its end: %d", code)
	}
	if rec := post(w.LoginSliding(schemetest.Nobody{}), `{"username":"a","password":"b"}`); rec.Code != 401 {
		t.Errorf("%d", rec.Code)
	}
	for what, end := range map[string]func() error{
		"disabled":   func() error { return w.store.SetActive(t.Context(), "id-alice", false) },
		"everywhere": func() error { _, err := w.store.BumpEpoch(t.Context(), "id-alice"); return err },
	} {
		schemetest.Must(t, w.store.SetActive(t.Context(), "id-alice", true))
		epoch, err := w.store.SubjectEpoch(t.Context(), "id-alice")
		schemetest.Must(t, err)
		fresh, err := w.IssueSliding(t.Context(), "id-alice", epoch, nil)
		schemetest.Must(t, err)
		schemetest.Must(t, end())
		if _, code := slide(fresh); code != 401 {
			t.Errorf("%s: %d", what, code)
		}
	}
	off := newWorld(t, jwt.Options{})
	for name, f := range map[string]func(){"login": func() { off.LoginSliding(anyone) }, "refresh": func() { off.RefreshSliding() }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s without the option", name)
				}
			}()
			f()
		}()
	}
}
