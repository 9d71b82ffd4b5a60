package consent_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// cuts counts the statements of a database, and fails one of them before it is done.
type cuts struct {
	driver  driver.Driver
	dsn     string
	n, fail atomic.Int64
}

func (c *cuts) hit() error {
	if c.n.Add(1) == c.fail.Load() {
		return oauthtest.ErrDown
	}
	return nil
}

func (c *cuts) Driver() driver.Driver { return c.driver }

func (c *cuts) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	return &cutConn{conn, c}, err
}

type cutConn struct {
	driver.Conn
	c *cuts
}

func (c *cutConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if strings.HasPrefix(query, "DELETE") && strings.HasSuffix(query, " LIMIT ?)") {
		return nil, oauthtest.ErrDown // one insert in 64 also removes expired records, and a failure of that is ignored
	}
	if err := c.c.hit(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *cutConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.c.hit(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *cutConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	return &cutStmt{s, c.c}, err
}

func (c *cutConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.c.hit(); err != nil {
		return nil, err
	}
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	return &cutTx{tx, c.c}, err
}

type cutStmt struct {
	driver.Stmt
	c *cuts
}

func (s *cutStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.c.hit(); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

type cutTx struct {
	driver.Tx
	c *cuts
}

func (t *cutTx) Commit() error {
	if err := t.c.hit(); err != nil {
		_ = t.Rollback()
		return err
	}
	return t.Tx.Commit()
}

// newCuts is a SQLite file whose statements are counted.
func newCuts(t *testing.T) (*gormstore.Store, *cuts) {
	t.Helper()
	plain, err := sql.Open("sqlite3", "")
	oauthtest.Must(t, err)
	oauthtest.Must(t, plain.Close())
	c := &cuts{driver: plain.Driver(), dsn: "file:" + filepath.Join(t.TempDir(), "db") + "?_journal_mode=WAL&_txlock=immediate&_busy_timeout=1000"}
	pool := sql.OpenDB(c)
	t.Cleanup(func() { _ = pool.Close() })
	db, err := gorm.Open(gormsqlite.New(gormsqlite.Config{Conn: pool}), gormstore.Config())
	oauthtest.Must(t, err)
	s, err := gormstore.New(db, nil)
	oauthtest.Must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	oauthtest.Must(t, s.Migrate(t.Context()))
	return s, c
}

// Whichever statement fails, the answer is 503, and the same request does it afterwards. What a
// page is good for once may be used up by then: its user begins again.
func TestCuts(t *testing.T) {
	s, c := newCuts(t)
	p := oauthtest.NewProvider(t, s, jose.ES256, func(o *oauthtest.Options) {
		o.Keys, o.DPoP, o.RememberConsent = oauthtest.NewRing(t, []byte("a master key of thirty-two bytes")), &oauthtest.DPoP{}, time.Hour
		o.Registration = &oauthtest.Registration{Allow: func(*http.Request) error { return nil }, Scopes: []string{"read"}}
	})
	oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "tv", Method: oauth2.None, Grants: []string{oauth2.DeviceCode, oauth2.RefreshToken}, Scopes: []string{"read", "openid"}}))
	wide := func(c *storage.Code) { c.Scopes = []string{"read", "openid"} }
	key, alice := p.NewProver(), p.Alice("s1")
	page := func(rec *httptest.ResponseRecorder) oauthtest.Reply {
		return oauthtest.Reply{Status: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
	}
	// Each makes what a request needs, and returns the request.
	for name, begin := range map[string]func() func() oauthtest.Reply{
		"code": func() func() oauthtest.Reply {
			code := p.Code("app", wide)
			return func() oauthtest.Reply { return p.Exchange("app", code) }
		},
		"wrong verifier": func() func() oauthtest.Reply {
			code := p.Code("app", wide)
			return func() oauthtest.Reply {
				return p.Post(p.Token(), "app", "grant_type", "authorization_code", "code", code, "redirect_uri", oauthtest.Redirect, "code_verifier", strings.Repeat("x", 43))
			}
		},
		"refresh": func() func() oauthtest.Reply {
			got := p.Exchange("app", p.Code("app", wide))
			return func() oauthtest.Reply { return p.Refreshes("app", got.Refresh) }
		},
		"reuse": func() func() oauthtest.Reply {
			got := p.Exchange("app", p.Code("app", wide))
			p.Refreshes("app", p.Refreshes("app", got.Refresh).Refresh)
			return func() oauthtest.Reply { return p.Refreshes("app", got.Refresh) }
		},
		"device": func() func() oauthtest.Reply {
			b := p.Begin("scope", "read openid")
			p.Decides(alice, b.User, "allow")
			return func() oauthtest.Reply { return p.Poll("tv", b.Device) }
		},
		"device page": func() func() oauthtest.Reply {
			b := p.Begin("scope", "read openid")
			return func() oauthtest.Reply { return page(p.DevicePage(alice, "POST", "user_code="+b.User)) }
		},
		"device decision": func() func() oauthtest.Reply {
			b := p.Begin("scope", "read openid")
			handle := oauthtest.HandleOf(t, p.DevicePage(alice, "POST", "user_code="+b.User))
			return func() oauthtest.Reply { return page(p.DevicePage(alice, "POST", "decision=allow&handle="+handle)) }
		},
		"device authorization": func() func() oauthtest.Reply {
			return func() oauthtest.Reply { return p.Post(p.DeviceAuthorization(), "", "client_id", "tv") }
		},
		"client credentials": func() func() oauthtest.Reply {
			return func() oauthtest.Reply { return p.Post(p.Token(), "app", "grant_type", "client_credentials") }
		},
		"revoke refresh": func() func() oauthtest.Reply {
			got := p.Exchange("app", p.Code("app", wide))
			return func() oauthtest.Reply { return p.Post(p.Revoke(), "app", "token", got.Refresh) }
		},
		"revoke access": func() func() oauthtest.Reply {
			got := p.Exchange("app", p.Code("app", wide))
			return func() oauthtest.Reply { return p.Post(p.Revoke(), "app", "token", got.Access) }
		},
		"introspect": func() func() oauthtest.Reply {
			got := p.Exchange("app", p.Code("app", wide))
			return func() oauthtest.Reply { return p.Post(p.Introspect(), "app", "token", got.Access) }
		},
		"push": func() func() oauthtest.Reply {
			return func() oauthtest.Reply {
				return p.Post(p.PushedAuthorization(), "app", "response_type", "code", "redirect_uri", oauthtest.Redirect, "code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256")
			}
		},
		"pushed": func() func() oauthtest.Reply {
			q := p.Pushed()
			return func() oauthtest.Reply { return page(p.Authorizes(alice, "GET", q, "")) }
		},
		"ask": func() func() oauthtest.Reply {
			return func() oauthtest.Reply {
				return page(p.Authorizes(alice, "GET", oauthtest.Query("app", "scope", "openid"), ""))
			}
		},
		"allow": func() func() oauthtest.Reply {
			handle := oauthtest.HandleOf(t, p.Authorizes(alice, "GET", oauthtest.Query("app", "scope", "openid", "prompt", "consent"), ""))
			return func() oauthtest.Reply { return page(p.Authorizes(alice, "POST", "", "decision=allow&handle="+handle)) }
		},
		"register": func() func() oauthtest.Reply {
			return func() oauthtest.Reply {
				return p.Manages("POST", "/oauth2/register", "", `{"redirect_uris":["https://new.example/cb"]}`).Reply
			}
		},
		"change": func() func() oauthtest.Reply {
			one := p.Manages("POST", "/oauth2/register", "", `{"redirect_uris":["https://new.example/cb"]}`)
			return func() oauthtest.Reply {
				return p.Manages("PUT", "/oauth2/register/"+one.ID, one.Token, `{"client_id":"`+one.ID+`","redirect_uris":["https://new.example/2"]}`).Reply
			}
		},
		"proof": func() func() oauthtest.Reply {
			got := key.Exchange("app", p.Code("app", wide))
			return func() oauthtest.Reply { return page(p.Calls("DPoP", got.Access, key.At(got.Access, nil))) }
		},
	} {
		t.Run("attack_221_"+name, func(t *testing.T) {
			c.n.Store(0)
			request := begin()
			from := c.n.Load()
			right := request()
			total := c.n.Load() - from
			if right.Status >= 500 || total == 0 {
				t.Fatalf("%d %s after %d statements", right.Status, right.Body, total)
			}
			for i := range total {
				request := begin()
				c.fail.Store(c.n.Load() + i + 1)
				got := request()
				c.fail.Store(0)
				again := request()
				what := fmt.Sprintf("statement %d of %d", i+1, total)
				if got.Status != 503 {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
				if once := name == "pushed" || name == "allow" || name == "device decision"; again.Status != right.Status && !(once && again.Status == 400) {
					t.Errorf("%s, again: %d %s, want %d", what, again.Status, again.Body, right.Status)
				}
			}
		})
	}
}
