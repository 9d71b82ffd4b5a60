package benchmarks

import (
	"encoding/gob"
	"errors"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/sessions"
)

// cookieGate is a gate whose good request carries the cookies of an answer.
func cookieGate(h http.Handler, rec *httptest.ResponseRecorder) (*Gate, error) {
	cookies := rec.Result().Cookies()
	if len(cookies) != 1 {
		return nil, errors.New("login set no cookie")
	}
	g := &Gate{Handler: h}
	g.Good, g.Bad = header("Cookie", cookies[0].Name+"="+cookies[0].Value)
	return g, nil
}

// scsLogin is what its documentation says that a login does.
func scsLogin(m *scs.SessionManager) http.Handler {
	return m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("username") != "alice" || r.PostFormValue("password") != "wonderland-42" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if err := m.RenewToken(r.Context()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		m.Put(r.Context(), "user", subject)
	}))
}

func scsGate(_ *Env, seen Seen) (*Gate, error) {
	m, rec := scs.New(), httptest.NewRecorder()
	scsLogin(m).ServeHTTP(rec, post("/login", loginForm))
	return cookieGate(m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen(w, m.GetString(r.Context(), "user"))
	})), rec)
}

func scsLoginWork(*Env) (*Work, error) {
	h := scsLogin(scs.New())
	return endpoint(h, func() *http.Request { return post("/login", loginForm) }, 200, func() *http.Request { return post("/login", wrongForm) }), nil
}

func scsRevoke(*Env) (*Work, error) {
	m := scs.New()
	login := scsLogin(m)
	logout := m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.Destroy(r.Context()) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	var who string
	ask := m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who = m.GetString(r.Context(), "user") }))
	with := func(r *http.Request, cookie string) *http.Request {
		r.Header.Set("Cookie", cookie)
		return r
	}
	return each(func() (string, error) {
		rec := httptest.NewRecorder()
		login.ServeHTTP(rec, post("/login", loginForm))
		cookies := rec.Result().Cookies()
		if len(cookies) != 1 {
			return "", errors.New("login set no cookie")
		}
		return cookies[0].Name + "=" + cookies[0].Value, nil
	}, func(cookie string) error {
		return answer(logout, with(post("/logout", ""), cookie), 200, nil)
	}, func(cookie string) bool {
		ask.ServeHTTP(httptest.NewRecorder(), with(request(http.Header{}), cookie))
		return who == subject
	}), nil
}

func gorillaStore() *sessions.CookieStore {
	gob.Register(time.Time{})
	return sessions.NewCookieStore(make([]byte, 32), make([]byte, 32))
}

func gorillaLogin(store *sessions.CookieStore) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("username") != "alice" || r.PostFormValue("password") != "wonderland-42" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		v, _ := store.Get(r, "session")
		v.Values["user"] = subject
		if v.Save(r, w) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

func gorillaGate(_ *Env, seen Seen) (*Gate, error) {
	store, rec := gorillaStore(), httptest.NewRecorder()
	gorillaLogin(store)(rec, post("/login", loginForm))
	return cookieGate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(r.Context()) // it keeps what it loaded in the request
		v, _ := store.Get(r, "session")
		who, _ := v.Values["user"].(string)
		seen(w, who)
	}), rec)
}

func gorillaLoginWork(*Env) (*Work, error) {
	h := gorillaLogin(gorillaStore())
	return endpoint(h, func() *http.Request { return post("/login", loginForm) }, 200, func() *http.Request { return post("/login", wrongForm) }), nil
}
