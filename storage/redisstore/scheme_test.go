package redisstore_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// Two replicas with the scheme of browser sessions: concurrent changes of the data are kept, uses move
// the expiry, and a logout at one holds at the other.
func TestScheme(t *testing.T) {
	r, at := redistest.Start(t), prefix()
	db := storetest.Postgres(t, nil)
	must(t, db.CreateUser(t.Context(), storage.User{ID: "alice", Name: "alice", Active: true}))
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	site, err := csrf.New("https://app.example", nil)
	must(t, err)
	var replicas [2]*session.Scheme
	for i := range replicas {
		s, err := session.New(sessionsAt(t, r.Client(), db, at), site, &session.Options{Idle: time.Hour, Clock: clock})
		must(t, err)
		replicas[i] = s
	}
	req := func(cookies ...*http.Cookie) *http.Request {
		r := httptest.NewRequest("GET", "https://app.example/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		for _, c := range cookies {
			r.AddCookie(c)
		}
		return r
	}
	w := httptest.NewRecorder()
	must(t, replicas[0].Start(w, req(), authn.Login{Subject: "alice"}))
	cookie := w.Result().Cookies()[0]
	handler := func(s *session.Scheme, h func(w http.ResponseWriter, r *http.Request)) http.Handler {
		return authn.New(authn.Chain{s}, nil).Handler(http.HandlerFunc(h))
	}
	get := func(replica int, h func(w http.ResponseWriter, r *http.Request)) int {
		w := httptest.NewRecorder()
		handler(replicas[replica], h).ServeHTTP(w, req(cookie))
		return w.Code
	}

	var wg sync.WaitGroup
	const visits = 20
	for i := range visits {
		wg.Go(func() {
			code := get(i%2, func(w http.ResponseWriter, r *http.Request) {
				v, err := replicas[i%2].Store().Get(r, "session")
				if err != nil {
					t.Error(err)
				}
				v.Values[fmt.Sprint("k", i)] = i
				if err := v.Save(r, w); err != nil {
					t.Error(err)
				}
			})
			if code != 200 {
				t.Errorf("visit %d: %d", i, code)
			}
		})
	}
	wg.Wait()
	values := func(replica int) (n int) {
		t.Helper()
		if code := get(replica, func(w http.ResponseWriter, r *http.Request) {
			v, err := replicas[replica].Store().Get(r, "session")
			must(t, err)
			n = len(v.Values)
		}); code != 200 {
			t.Errorf("replica %d: %d", replica, code)
		}
		return n
	}
	for i := range replicas {
		if n := values(i); n != visits {
			t.Errorf("replica %d reads %d values of %d", i, n, visits)
		}
	}
	for i := range 12 { // for longer than Idle
		mu.Lock()
		now = now.Add(20 * time.Minute)
		mu.Unlock()
		if n := values(i % 2); n != visits {
			t.Fatalf("use %d: %d values", i, n)
		}
	}
	if list, err := replicas[1].Sessions(t.Context(), "alice", 10); err != nil || len(list) != 1 || now.Sub(list[0].LastSeen) > time.Minute {
		t.Errorf("sessions %+v, %v", list, err)
	}

	code := get(0, func(w http.ResponseWriter, r *http.Request) {
		v, err := replicas[0].Store().Get(r, "session")
		must(t, err)
		v.Values["late"] = true
		must(t, replicas[1].EndCurrent(httptest.NewRecorder(), req(cookie)))
		if err := v.Save(r, w); !errors.Is(err, session.ErrEnded) {
			t.Errorf("saved after a logout: %v", err)
		}
	})
	if code != 200 {
		t.Errorf("%d", code)
	}
	for i := range replicas {
		if code := get(i, func(http.ResponseWriter, *http.Request) {}); code != 401 {
			t.Errorf("replica %d after the logout: %d", i, code)
		}
	}
}
