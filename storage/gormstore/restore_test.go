package gormstore_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// restoredDatabases open the same database several times.
var restoredDatabases = map[string]func(testing.TB) func(*gormstore.Options) (*gormstore.Store, error){
	"sqlite": func(t testing.TB) func(*gormstore.Options) (*gormstore.Store, error) {
		path := filepath.Join(t.TempDir(), "db")
		return func(o *gormstore.Options) (*gormstore.Store, error) { return sqlite.Open(path, o) }
	},
	"postgres": func(t testing.TB) func(*gormstore.Options) (*gormstore.Store, error) {
		url := storetest.URL(t)
		return func(o *gormstore.Options) (*gormstore.Store, error) { return postgres.Open(url, o) }
	},
}

// restoredStore is what the servers of the test need.
type restoredStore interface {
	cached.Base
	storage.EpochBatches
}

// restoredSite is a server with sealed sessions, JWTs and device tokens.
type restoredSite struct {
	t       testing.TB
	jwt     *jwt.Scheme
	sealed  *session.Sealed
	devices *knox.Scheme
	checker *password.Checker
	handler http.Handler
}

func siteOf(t testing.TB, s restoredStore, ring *keys.Ring) *restoredSite {
	t.Helper()
	const issuer = "https://api.example"
	signing, err := jwt.NewStoredKeys(s, ring, issuer, nil)
	fatal(t, err)
	fatal(t, signing.Ensure(t.Context()))
	v := &restoredSite{t: t}
	v.jwt, err = jwt.New(issuer, issuer, signing, s, nil)
	fatal(t, err)
	site, err := csrf.New("https://app.example", nil)
	fatal(t, err)
	v.sealed, err = session.NewSealed(ring, site, &session.SealedOptions{Users: s})
	fatal(t, err)
	v.devices, err = knox.New(s, nil)
	fatal(t, err)
	hasher, err := password.NewHasher(nil)
	fatal(t, err)
	v.checker, err = password.New(s, hasher, &password.Options{InsecureNoLimiter: true})
	fatal(t, err)
	v.handler = authn.New(authn.Chain{v.sealed, v.jwt, v.devices}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if authn.FromContext(r.Context()).Subject == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	return v
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// use returns the status of a request with the header.
func (v *restoredSite) use(header, value string) int {
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	r.Header.Set(header, value)
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	return w.Code
}

// cookie logs in and returns the cookie of the sealed session.
func (v *restoredSite) cookie(name string) string {
	v.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "https://app.example/login", strings.NewReader("username="+name+"&password=a-long-password-42"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://app.example")
	v.sealed.Login(v.checker).ServeHTTP(w, r)
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	if w.Code >= 300 || cookie == "" {
		v.t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	return cookie
}

// After a restore, the table gives the ID of a lost account to another one. Credentials of the lost
// account, which no table knows, are not credentials of the new one, in a process that was running
// too. What that process issues afterwards works everywhere.
func TestRestore_attack_484(t *testing.T) {
	for name, opener := range restoredDatabases {
		for _, space := range []string{"", "people"} {
			for _, cache := range []bool{false, true} {
				t.Run(name+"_"+space+"_"+map[bool]string{true: "cached"}[cache], func(t *testing.T) {
					ctx := t.Context()
					open := opener(t)
					base := opened(t)(open(&gormstore.Options{Users: &accounts, Space: space}))
					migrated(t, base)
					fatal(t, base.DB(ctx).AutoMigrate(&Account{}))
					var running restoredStore = base
					if cache {
						c, err := cached.New(base, nil)
						fatal(t, err)
						running = c
					}
					ring, err := keys.NewRing(keys.Generate())
					fatal(t, err)
					site := siteOf(t, running, ring)
					hash, err := site.checker.NewHash(ctx, storage.User{Name: "x"}, "a-long-password-42")
					fatal(t, err)
					add := func(id int64, name string) string {
						t.Helper()
						fatal(t, base.DB(ctx).Create(&Account{UID: id, Login: name, Hash: string(hash), Enabled: true}).Error)
						u, err := base.UserByName(ctx, name)
						fatal(t, err)
						return u.ID
					}
					add(1, "alice")
					bob := add(2, "bob")
					cookie := site.cookie("bob")
					pair, err := site.jwt.Issue(ctx, bob, 0, nil)
					fatal(t, err)
					bearer := "Bearer " + pair.Access
					// A record without an account: the application deleted the account and kept the ID.
					orphan, _, err := site.devices.Issue(ctx, bob, 0, knox.Token{})
					fatal(t, err)
					if a, b, c := site.use("Cookie", cookie), site.use("Authorization", bearer), site.use("Authorization", "Knox "+orphan); a != 200 || b != 200 || c != 200 {
						t.Fatal(a, b, c)
					}
					// The restored database has no bob, and gives his ID again. Only his device token is in it.
					for _, q := range []string{"DELETE FROM accounts WHERE uid = 2", "DELETE FROM vestibule_refresh_tokens", "DELETE FROM vestibule_families", "DELETE FROM vestibule_subjects"} {
						fatal(t, base.DB(ctx).Exec(q).Error)
					}
					admin := opened(t)(open(&gormstore.Options{Users: &accounts, Space: space})) // another process
					if n, err := storage.LogoutAll(ctx, admin, time.Time{}); n != 1 || err != nil {
						t.Fatal(n, err)
					}
					if cache {
						running.(*cached.Store).FlushAll()
					}
					carol := add(2, "carol")
					if carol != bob {
						t.Fatalf("another ID: %s, %s", carol, bob)
					}
					restarted := siteOf(t, opened(t)(open(&gormstore.Options{Users: &accounts, Space: space})), ring)
					for process, v := range map[string]*restoredSite{"running": site, "restarted": restarted} {
						if a, b, c := v.use("Cookie", cookie), v.use("Authorization", bearer), v.use("Authorization", "Knox "+orphan); a != 401 || b != 401 || c != 401 {
							t.Errorf("%s: a session of bob: %d, his token: %d, his device token: %d", process, a, b, c)
						}
					}
					// The new account is not locked out.
					epoch, err := running.SubjectEpoch(ctx, carol)
					fatal(t, err)
					fresh, err := site.jwt.Issue(ctx, carol, epoch, nil)
					fatal(t, err)
					device, _, err := site.devices.Issue(ctx, carol, epoch, knox.Token{})
					fatal(t, err)
					own := site.cookie("carol")
					for process, v := range map[string]*restoredSite{"running": site, "restarted": restarted} {
						if a, b, c := v.use("Cookie", own), v.use("Authorization", "Bearer "+fresh.Access), v.use("Authorization", "Knox "+device); a != 200 || b != 200 || c != 200 {
							t.Errorf("%s: carol: %d, %d, %d", process, a, b, c)
						}
					}
				})
			}
		}
	}
}

// Without the right to raise the least epoch, nothing changes and the error names the right.
func TestRestore_attack_484_rights(t *testing.T) {
	ctx := t.Context()
	s := migrated(t, openSQLite(t, nil))
	fatal(t, s.CreateUser(ctx, storage.User{ID: "1", Name: "alice", Active: true}))
	fatal(t, s.DB(ctx).Exec("CREATE TRIGGER kept BEFORE UPDATE ON vestibule_spaces BEGIN SELECT RAISE(ABORT, 'kept'); END").Error)
	if n, err := storage.LogoutAll(ctx, s, time.Time{}); n != 0 || err == nil || errors.Is(err, context.Canceled) {
		t.Error(n, err)
	}
	if epoch, err := s.SubjectEpoch(ctx, "1"); epoch != 0 || err != nil {
		t.Error(epoch, err)
	}
}

// Member is an account of a second table.
type Member struct {
	UID     int64 `gorm:"primaryKey;autoIncrement"`
	Login   string
	Hash    string
	Enabled bool
}

// LogoutAll of one account table does not log out the other.
func TestRestore_attack_484_spaces(t *testing.T) {
	for name, opener := range restoredDatabases {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			open := opener(t)
			staff := migrated(t, opened(t)(open(&gormstore.Options{Users: &accounts, Space: "staff"})))
			members := gormstore.UserTable{Table: "members", ID: "uid", IDType: "integer", Name: "login", Password: "hash", Active: "enabled"}
			fatal(t, staff.DB(ctx).AutoMigrate(&Account{}, &Member{}))
			people := migrated(t, opened(t)(open(&gormstore.Options{Users: &members, Space: "people"})))
			fatal(t, staff.DB(ctx).Create(&Account{UID: 1, Login: "alice", Enabled: true}).Error)
			fatal(t, people.DB(ctx).Create(&Member{UID: 1, Login: "alice", Enabled: true}).Error)
			if n, err := storage.LogoutAll(ctx, staff, time.Time{}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			fatal(t, staff.DB(ctx).Create(&Account{UID: 2, Login: "bob", Enabled: true}).Error)
			for _, subject := range []string{"staff:1", "staff:2"} {
				if epoch, err := staff.SubjectEpoch(ctx, subject); err != nil || epoch == 0 {
					t.Errorf("%s: %d, %v", subject, epoch, err)
				}
			}
			for _, s := range []*gormstore.Store{people, opened(t)(open(&gormstore.Options{Users: &members, Space: "people"}))} {
				if epoch, err := s.SubjectEpoch(ctx, "people:1"); err != nil || epoch != 0 {
					t.Errorf("people:1: %d, %v", epoch, err)
				}
			}
		})
	}
}
