package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// storm is many requests about the same few accounts and clients at once, over PostgreSQL.
type storm struct {
	*oauthtest.World
	db     *gormstore.Store
	n      atomic.Int64
	failed sync.Map // what the failures said
	done   sync.Map // how often each kind of request did what it was for
}

// known are the answers of a store: the request lost to another one.
var known = []error{storage.ErrNotFound, storage.ErrConflict, storage.ErrStale, storage.ErrLimit}

func (s *storm) note(what string, err error) {
	for _, k := range known {
		if errors.Is(err, k) {
			return
		}
	}
	if err != nil {
		s.failed.Store(what, err.Error())
		return
	}
	n, _ := s.done.LoadOrStore(what, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// answered notes the status of a request: none is a fault.
func (s *storm) answered(what string, status int, body string) {
	switch {
	case status >= 500:
		s.failed.Store(what, fmt.Sprint(status, " ", body))
	case status < 400:
		s.note(what, nil)
	}
}

func (s *storm) code(user, client string) string {
	var body [credential.Size]byte
	copy(body[:], fmt.Sprint("code ", s.n.Add(1)))
	text := credential.MustFormat("vac").Encode(body)
	epoch, err := s.db.SubjectEpoch(context.Background(), user)
	if err == nil {
		err = s.db.CreateCode(context.Background(), storage.Code{
			Digest: storage.DigestOf(text), Client: client, Subject: user, Epoch: epoch, RedirectURI: oauthtest.Redirect, Scopes: []string{"read"}, Resource: []string{"https://api.example"},
			Challenge: oauthtest.ChallengeOf(oauthtest.Verifier), AuthTime: s.Clock(), Created: s.Clock(), Expires: s.Clock().Add(time.Minute), Kept: s.Clock().Add(time.Hour),
		})
	}
	s.note("code", err)
	return text
}

func (s *storm) who(user string) *authn.Identity {
	epoch, err := s.db.SubjectEpoch(context.Background(), user)
	s.note("epoch", err)
	return &authn.Identity{Subject: user, Scheme: "session", Credential: oauthtest.Login{Session: "s", Epoch: epoch}, AuthTime: s.Clock()}
}

func (s *storm) answers(what string, rec *httptest.ResponseRecorder) {
	s.answered(what, rec.Code, rec.Body.String())
}

// handle returns the handle of a page's form, escaped; "" without one.
func (s *storm) handle(rec *httptest.ResponseRecorder) string {
	_, text, ok := strings.Cut(rec.Body.String(), `name="handle" value="`)
	if !ok {
		return ""
	}
	text, _, _ = strings.Cut(text, `"`)
	return url.QueryEscape(text)
}

// Requests and revocations of the same accounts and clients take their locks in one order: none of
// them ends as the victim of a deadlock.
func TestNoDeadlocks(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	for name, c := range map[string]struct{ users, clients, disabled int }{"attack_329_accounts": {users: 2}, "attack_329_clients": {clients: 2}, "attack_329_disabled": {disabled: 2}} {
		t.Run(name, func(t *testing.T) {
			db, err := postgres.Open(storetest.URL(t), &gormstore.Options{Timeout: time.Minute}) // of a busy machine
			oauthtest.Must(t, err)
			t.Cleanup(func() { _ = db.Close() })
			oauthtest.Must(t, db.Migrate(t.Context()))
			s := &storm{World: oauthtest.NewDevices(t, db, nil), db: db}
			for _, one := range []string{"exchange", "consent", "push", "device", "revoke", "password"} {
				s.blow(1, map[string]int{one: 1})
			}
			for _, what := range []string{"exchange", "refresh", "allow", "pushed", "decide", "device", "revoke", "password"} {
				if _, ok := s.done.Load(what); !ok {
					t.Fatalf("%s: does not succeed", what)
				}
			}
			s.blow(12, map[string]int{"exchange": 4, "consent": 2, "push": 2, "device": 2, "revoke": 2, "password": 1, "delete": c.users, "client": c.clients, "disable": c.disabled, "prune": 1})
			s.failed.Range(func(what, why any) bool {
				t.Errorf("%s: %s", what, why)
				return true
			})
			var deadlocks int64
			oauthtest.Must(t, db.DB(t.Context()).Raw("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks).Error)
			if deadlocks > 0 {
				t.Errorf("%d deadlocks", deadlocks)
			}
		})
	}
}

// blow does each kind of thing in so many goroutines, and that often in each.
func (s *storm) blow(rounds int, many map[string]int) {
	ctx, users := context.Background(), []string{"id-1", "id-2", "id-3"}
	add := func(id string) {
		s.note("user", s.db.CreateUser(ctx, storage.User{ID: id, Name: id, Active: true}))
	}
	for _, id := range users {
		add(id)
	}
	spa := storage.Client{
		ID: "spa", Method: oauth2.None, RedirectURIs: []string{oauthtest.Redirect}, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"},
	}
	ops := map[string]func(user string){
		"exchange": func(user string) {
			got := s.Exchange("spa", s.code(user, "spa"))
			s.answered("exchange", got.Status, got.Body)
			for i := 0; i < 3 && got.Status == 200; i++ {
				got = s.Refreshes("spa", got.Refresh)
				s.answered("refresh", got.Status, got.Body)
			}
		},
		"consent": func(user string) {
			who := s.who(user)
			rec := s.Authorizes(who, "GET", oauthtest.Query("spa"), "")
			s.answers("authorize", rec)
			if h := s.handle(rec); h != "" {
				s.answers("allow", s.Authorizes(who, "POST", "", "handle="+h+"&decision=allow&remember=true"))
			}
		},
		"push": func(user string) {
			got := s.Post(s.PushedAuthorization(), "spa", "response_type", "code", "redirect_uri", oauthtest.Redirect,
				"code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256")
			s.answered("push", got.Status, got.Body)
			_, uri, _ := strings.Cut(got.Body, `"request_uri":"`)
			uri, _, _ = strings.Cut(uri, `"`)
			s.answers("pushed", s.Authorizes(s.who(user), "GET", url.Values{"client_id": {"spa"}, "request_uri": {uri}}.Encode(), ""))
		},
		"device": func(user string) {
			who, b := s.who(user), s.Begin()
			if h := s.handle(s.DevicePage(who, "POST", "user_code="+b.User)); h != "" {
				s.answers("decide", s.DevicePage(who, "POST", "handle="+h+"&decision=allow"))
				got := s.Poll("tv", b.Device)
				s.answered("device", got.Status, got.Body)
			}
		},
		"revoke": func(user string) {
			s.Exchange("spa", s.code(user, "spa"))
			list, _, err := s.Server.Server.Grants(ctx, user, storage.FamilyPlace{}, 1)
			if err == nil && len(list) > 0 {
				s.note("revoke", s.Server.Server.RevokeGrant(ctx, user, list[0].ID, true))
			}
		},
		"password": func(user string) { s.note("password", s.db.SetPassword(ctx, user, "x")) },
		"delete": func(user string) {
			s.note("delete", s.db.DeleteUser(ctx, user))
			add(user)
		},
		"client": func(string) {
			s.note("delete client", s.db.DeleteClient(ctx, "spa"))
			s.note("client", s.db.CreateClient(ctx, spa))
		},
		"disable": func(string) {
			off := spa
			off.Disabled = true
			s.note("disable client", s.db.UpdateClient(ctx, off))
			s.note("enable client", s.db.UpdateClient(ctx, spa))
		},
		"prune": func(string) {
			_, err := s.db.Prune(ctx, s.Clock().Add(365*24*time.Hour), 1000)
			s.note("prune", err)
		},
	}
	var wg sync.WaitGroup
	for name, n := range many {
		for g := range n {
			wg.Go(func() {
				for i := range rounds {
					ops[name](users[(g+i)%len(users)])
				}
			})
		}
	}
	wg.Wait()
}
