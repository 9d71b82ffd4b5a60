package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// Remembered logins, the reuse of their cookies, and logouts of sessions that are not valid happen with
// their event, or not at all.
func TestRequiredSessions(t *testing.T) {
	t.Run("attack_480", func(t *testing.T) {
		storetest.EachOwn(t, func(t *testing.T, s storagetest.Store) {
			base, broken := breakable(t, s.(logged))
			requiredSessions(t, base, broken)
		})
	})
}

// cookies are those of a browser.
type cookies map[string]string

func (c cookies) request() *http.Request {
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	for name, value := range c {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

func (c cookies) take(w *httptest.ResponseRecorder) {
	for _, k := range w.Result().Cookies() {
		if c[k.Name] = k.Value; k.MaxAge < 0 {
			delete(c, k.Name)
		}
	}
}

func (c cookies) only(part string) cookies {
	found := cookies{}
	for name, value := range c {
		if strings.Contains(name, part) {
			found[name] = value
		}
	}
	return found
}

func requiredSessions(t *testing.T, db logged, broken func(bool)) {
	name := "bob-" + strings.ReplaceAll(t.Name(), "/", "-")
	schemetest.Add(t, db, name)
	u := must(db.UserByName(t.Context(), name))(t)
	events := must(audit.New(func(context.Context, audit.Event) {}, &audit.Options{Required: true}))(t)
	seen := make(map[string]bool)
	stored := func(step string, want ...string) {
		t.Helper()
		var got []string
		for _, r := range must(db.AuditAfter(t.Context(), "", 1000))(t) {
			if seen[r.ID] || r.Subject != u.ID {
				continue
			}
			seen[r.ID] = true
			var e audit.Event
			if err := json.Unmarshal(r.Event, &e); err != nil {
				t.Error(err)
			}
			got = append(got, strings.TrimSpace(r.Kind+" "+e.Reason))
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: stored %q, want %q", step, got, want)
		}
	}
	site := must(csrf.New("https://app.example", nil))(t)
	withGrace := func(d time.Duration) *session.Scheme {
		return must(session.New(db, site, &session.Options{Audit: events, Logger: schemetest.Quiet, Remember: &session.RememberOptions{Grace: d}}))(t)
	}
	pages := withGrace(time.Minute)
	login := authn.Login{Subject: u.ID, Epoch: u.Epoch}
	isFault := func(err error) bool {
		var refused *authn.Error
		return err != nil && !errors.As(err, &refused)
	}
	start := func(c cookies) error {
		w := httptest.NewRecorder()
		err := pages.StartRemembered(w, httptest.NewRequest("POST", "https://app.example/", nil), login)
		c.take(w)
		return err
	}
	visit := func(c cookies) error { // as the middleware does
		id, err := pages.Authenticate(c.request())
		if err == nil {
			w := httptest.NewRecorder()
			if err = pages.Renew(w, c.request(), id); err == nil {
				c.take(w)
			}
		}
		return err
	}
	end := func(c cookies) error {
		w := httptest.NewRecorder()
		err := pages.EndCurrent(w, c.request())
		if err != nil && len(w.Result().Cookies()) > 0 {
			t.Error("a logout that failed deleted a cookie")
		}
		c.take(w)
		return err
	}

	browser := cookies{}
	schemetest.Must(t, start(browser))
	stored("login", "session.created")
	session, remember := browser.only("sess"), browser.only("remember")
	if len(session) != 1 || len(remember) != 1 {
		t.Fatalf("cookies: %v", browser)
	}

	broken(true)
	if err := visit(browser.only("remember")); !isFault(err) {
		t.Errorf("a remembered login without its event: %v", err)
	}
	broken(false)
	stored("remembered, log broken")
	schemetest.Must(t, visit(remember))
	stored("remembered", "session.created remembered")

	pages = withGrace(-1)
	first := remember.only("remember")
	schemetest.Must(t, visit(first.only("")))
	stored("remembered without grace", "session.created remembered")
	broken(true)
	if err := visit(first); !isFault(err) {
		t.Errorf("reuse without its event: %v", err)
	}
	broken(false)
	schemetest.Must(t, visit(remember)) // the series has not ended, since the event could not be stored
	stored("reuse, log broken")
	if err := visit(first); err == nil || isFault(err) {
		t.Errorf("reuse: %v", err)
	}
	if err := visit(remember); err == nil || isFault(err) {
		t.Errorf("after reuse: %v", err)
	}
	stored("reuse", "refresh.reuse")

	browser = cookies{}
	schemetest.Must(t, start(browser))
	stored("second login", "session.created")
	remember = browser.only("remember")
	broken(true)
	if err := end(remember); !isFault(err) {
		t.Errorf("logout with the remember cookie, without its event: %v", err)
	}
	broken(false)
	stored("logout of a remembered login, log broken")
	schemetest.Must(t, end(remember))
	stored("logout of a remembered login", "logout remembered")
	schemetest.Must(t, end(browser.only("remember")))
	stored("logout again")

	browser = cookies{}
	w := httptest.NewRecorder()
	schemetest.Must(t, pages.Start(w, httptest.NewRequest("POST", "https://app.example/", nil), login))
	browser.take(w)
	stored("third login", "session.created")
	_, err := db.BumpEpoch(t.Context(), u.ID) // the session is not valid now
	schemetest.Must(t, err)
	broken(true)
	if err := end(browser); !isFault(err) {
		t.Errorf("logout of a session that is not valid, without its event: %v", err)
	}
	broken(false)
	schemetest.Must(t, end(browser))
	stored("logout of a session that is not valid", "logout")

	u, err = db.UserByID(t.Context(), u.ID)
	schemetest.Must(t, err)
	login.Epoch = u.Epoch
	browser = cookies{}
	schemetest.Must(t, start(browser))
	list, err := db.ListSessions(t.Context(), u.ID, 10)
	schemetest.Must(t, err)
	for _, v := range list { // the sessions were pruned, the remembered login was not
		schemetest.Must(t, db.DeleteSession(t.Context(), v.Digest))
	}
	stored("fourth login", "session.created")
	broken(true)
	if _, err := pages.EndAll(t.Context(), u.ID, ""); err == nil {
		t.Error("remembered logins ended without their event")
	}
	broken(false)
	_, err = pages.EndAll(t.Context(), u.ID, "")
	schemetest.Must(t, err)
	stored("everywhere", "session.ended")
	if err := visit(browser.only("remember")); err == nil || isFault(err) {
		t.Errorf("after the logout everywhere: %v", err)
	}
}
