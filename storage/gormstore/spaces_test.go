package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// opener opens one database again and again, as programs do.
type opener func(*gormstore.Options) *gormstore.Store

// eachDatabase runs f on an empty database of each kind.
func eachDatabase(t *testing.T, f func(t *testing.T, kind string, open opener)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		f(t, "sqlite", func(o *gormstore.Options) *gormstore.Store { return opened(t)(sqlite.Open(path, o)) })
	})
	t.Run("postgres", func(t *testing.T) {
		url := pgtest.URL(t)
		f(t, "postgres", func(o *gormstore.Options) *gormstore.Store { return opened(t)(postgres.Open(url, o)) })
	})
}

// people is a table with an integer id.
func people(name string) *gormstore.UserTable {
	return &gormstore.UserTable{Table: name, ID: "id", IDType: "integer", Name: "login", Password: "hash", Active: "active"}
}

func spaceOf(table, space string) *gormstore.Options {
	return &gormstore.Options{Users: people(table), Space: space, Timeout: 20 * time.Second}
}

func makePeople(t *testing.T, s *gormstore.Store, names ...string) {
	t.Helper()
	for _, name := range names {
		err := errors.Join(s.DB(t.Context()).Exec("CREATE TABLE "+name+" (id BIGINT PRIMARY KEY, login TEXT UNIQUE NOT NULL, hash TEXT NOT NULL DEFAULT '', active BOOLEAN NOT NULL DEFAULT TRUE)").Error,
			s.DB(t.Context()).Exec("INSERT INTO "+name+" (id, login) VALUES (1, 'ann')").Error)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func staticToken(subject, text string, epoch int64) storage.StaticToken {
	return storage.StaticToken{Digest: storage.DigestOf(text), Subject: subject, Salt: []byte("s"), KeyID: "k", Epoch: epoch}
}

// refused fails unless err is ErrSpace and says all of the words.
func refused(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, gormstore.ErrSpace) {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: the error does not say %q: %v", what, w, err)
		}
	}
}

func TestSpaceRecords(t *testing.T) {
	ctx := context.Background()
	eachDatabase(t, func(t *testing.T, kind string, open opener) {
		first := open(spaceOf("customers", ""))
		// Nothing is recorded yet, so nobody is let in, whether the tables are there or not.
		closed := func(what string, s *gormstore.Store) {
			t.Helper()
			_, err := s.UserByName(ctx, "ann")
			refused(t, what+": a login", err)
			_, err = s.UserByID(ctx, storage.SubjectIn(s.Space(), "1"))
			refused(t, what+": an account", err)
			_, _, err = s.StaticTokenByDigest(ctx, storage.DigestOf("x"))
			refused(t, what+": a token", err)
			_, _, err = s.SessionByDigest(ctx, storage.DigestOf("x"))
			refused(t, what+": a session", err)
			_, _, err = s.CredentialByDigest(ctx, "knox", storage.DigestOf("x"))
			refused(t, what+": a device token", err)
			_, err = s.TokenStatusOf(ctx, storage.SubjectIn(s.Space(), "1"), storage.BlockKeys{})
			refused(t, what+": a standing", err)
			refused(t, what+": issuing", s.PutStaticToken(ctx, staticToken(storage.SubjectIn(s.Space(), "1"), "y", 0), storage.Digest{}))
			_, err = s.BumpEpoch(ctx, storage.SubjectIn(s.Space(), "1"))
			refused(t, what+": an epoch", err)
		}
		closed("an empty database", first)
		if err := first.MigrateSchema(ctx); err != nil {
			t.Fatal(err)
		}
		makePeople(t, first, "customers", "staff")
		t.Run("edge_A01/no record", func(t *testing.T) {
			if _, err := first.UserByName(ctx, "ann"); !errors.Is(err, gormstore.ErrSpace) || !strings.Contains(err.Error(), "Migrate") {
				t.Errorf("%v", err)
			}
			closed("no record", open(spaceOf("customers", "")))
			if err := first.CheckSchema(ctx); !errors.Is(err, gormstore.ErrSpace) {
				t.Errorf("CheckSchema: %v", err)
			}
		})
		if err := errors.Join(first.Migrate(ctx), first.Migrate(ctx), first.CheckSchema(ctx)); err != nil {
			t.Fatal(err)
		}
		if u, err := first.UserByName(ctx, "ann"); err != nil || u.ID != "1" || u.LocalID() != "1" {
			t.Fatalf("%+v, %v", u, err)
		}
		t.Run("edge_A01/second table without a name", func(t *testing.T) {
			for _, o := range []*gormstore.Options{spaceOf("staff", ""), nil, spaceOf("staff", "staff"), spaceOf("customers", "customers")} {
				s := open(o)
				refused(t, "Migrate", s.Migrate(ctx), "NameSpace", "customers")
				refused(t, "CheckSchema", s.CheckSchema(ctx), "NameSpace")
				closed("refused", s)
			}
		})
		t.Run("edge_A01/id column", func(t *testing.T) {
			o := spaceOf("customers", "")
			o.Users.ID, o.Users.IDType = "login", "text"
			refused(t, "Migrate", open(o).Migrate(ctx), "login", "id")
		})
		t.Run("edge_A01/named", func(t *testing.T) {
			customers, staff := open(spaceOf("customers", "customers")), open(spaceOf("staff", "staff"))
			refused(t, "NameSpace of another table", staff.NameSpace(ctx))
			refused(t, "NameSpace without a name", first.NameSpace(ctx))
			if err := errors.Join(customers.NameSpace(ctx), customers.NameSpace(ctx), customers.Migrate(ctx), staff.Migrate(ctx), open(spaceOf("staff", "staff")).Migrate(ctx)); err != nil {
				t.Fatal(err)
			}
			refused(t, "the retired name", open(spaceOf("customers", "")).Migrate(ctx), "customers")
			refused(t, "the retired name for another table", open(spaceOf("others", "")).Migrate(ctx), "retired")
			refused(t, "one name, two tables", open(spaceOf("staff", "customers")).Migrate(ctx), "never given to another table")
			refused(t, "one table, two names", open(spaceOf("staff", "admins")).Migrate(ctx), `"staff"`)
			schema := "main."
			if kind == "postgres" {
				schema = "public."
			}
			refused(t, "one table spelled in another way", open(spaceOf(schema+"staff", "admins")).Migrate(ctx), `"staff"`)
			if err := open(spaceOf(schema+"staff", "staff")).Migrate(ctx); err != nil {
				t.Errorf("the same table with its schema: %v", err)
			}
			if kind == "sqlite" {
				refused(t, "one table in capitals", open(spaceOf("STAFF", "admins")).Migrate(ctx))
			}
			u, err := customers.UserByName(ctx, "ann")
			if err != nil || u.ID != "customers:1" || u.LocalID() != "1" || u.Space() != "customers" {
				t.Fatalf("%+v, %v", u, err)
			}
			for _, id := range []string{"1", "staff:1", "customers:", "customers:01", "customers:x", ":1", "customers1", "customers::1", " customers:1"} {
				if _, err := customers.UserByID(ctx, id); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("id %q: %v", id, err)
				}
				if st, err := customers.TokenStatusOf(ctx, id, storage.BlockKeys{}); !strings.HasPrefix(id, "customers:") && (err != nil || !st.Blocked) {
					t.Errorf("the standing of %q: %+v, %v", id, st, err)
				}
				if err := customers.PutStaticToken(ctx, staticToken(id, "z", u.Epoch), storage.Digest{}); !errors.Is(err, storage.ErrStale) && !errors.Is(err, storage.ErrInvalid) {
					t.Errorf("a token for %q: %v", id, err)
				}
			}
			for what, err := range map[string]error{
				"BumpEpoch": func() error { _, err := customers.BumpEpoch(ctx, "staff:1"); return err }(), "DeleteSubject": customers.DeleteSubject(ctx, "staff:1"),
				"permissions": customers.SetSubjectPermissions(ctx, "staff:1", []string{"*"}), "groups": customers.SetSubjectGroups(ctx, "1", []string{"g"}),
				"CreateUser": customers.CreateUser(ctx, storage.User{ID: "2", Name: "bob", Active: true}),
			} {
				if !errors.Is(err, storage.ErrInvalid) {
					t.Errorf("%s of another space: %v", what, err)
				}
			}
			// Lists and ends of one space are its own.
			if err := errors.Join(customers.PutStaticToken(ctx, staticToken("customers:1", "c", u.Epoch), storage.Digest{}), staff.PutStaticToken(ctx, staticToken("staff:1", "s", 0), storage.Digest{})); err != nil {
				t.Fatal(err)
			}
			if list, err := staff.ListStaticTokens(ctx, "", 10); err != nil || len(list) != 1 || list[0].Subject != "staff:1" {
				t.Errorf("%+v, %v", list, err)
			}
			if err := staff.DeleteStaticTokenOf(ctx, "customers:1"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%v", err)
			}
		})
	})
}

// One name under two search paths is two tables.
func TestSpaceSearchPath(t *testing.T) {
	ctx := context.Background()
	at := pgtest.URL(t)
	owner := opened(t)(postgres.Open(at, &patient))
	if err := owner.MigrateSchema(ctx); err != nil {
		t.Fatal(err)
	}
	for _, schema := range []string{"tenant_a", "tenant_b"} {
		run(t, owner, "CREATE SCHEMA "+schema)
		makePeople(t, owner, schema+".people")
	}
	of := func(schema, space string) *gormstore.Store {
		return opened(t)(postgres.Open(at+"&search_path="+schema+",public", spaceOf("people", space)))
	}
	if err := of("tenant_a", "").Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	t.Run("edge_A01/search path", func(t *testing.T) {
		b := of("tenant_b", "")
		refused(t, "the other tenant's table", b.Migrate(ctx), "tenant_a.people", "tenant_b.people")
		_, err := b.UserByName(ctx, "ann")
		refused(t, "the other tenant's login", err)
		if err := of("tenant_a", "").Migrate(ctx); err != nil {
			t.Error(err)
		}
	})
}

// Of many programs that start at once with two tables, one table wins.
func TestSpaceRace(t *testing.T) {
	ctx := context.Background()
	eachDatabase(t, func(t *testing.T, _ string, open opener) {
		var stores []*gormstore.Store
		for i := range 8 {
			stores = append(stores, open(spaceOf([]string{"customers", "staff"}[i%2], "")))
		}
		errs := make([]error, len(stores))
		var wg sync.WaitGroup
		for i, s := range stores {
			wg.Go(func() { errs[i] = s.Migrate(ctx) })
		}
		wg.Wait()
		good := [2]int{}
		for i, err := range errs {
			if err == nil {
				good[i%2]++
			} else {
				refused(t, "the loser", err)
			}
		}
		if good != [2]int{4, 0} && good != [2]int{0, 4} {
			t.Errorf("edge_A01: of customers %d and of staff %d programs started: %v", good[0], good[1], errs)
		}
	})
}

// Naming a table ends every credential, takes permissions along, and is noticed by a process
// that runs without the name.
func TestNameSpace(t *testing.T) {
	ctx := context.Background()
	eachDatabase(t, func(t *testing.T, _ string, open opener) {
		old, named := open(spaceOf("customers", "")), open(spaceOf("customers", "customers"))
		if err := old.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		makePeople(t, old, "customers", "staff")
		now := time.Now()
		later := now.Add(time.Hour)
		session := func(text, subject string) storage.Session {
			return storage.Session{Digest: storage.DigestOf(text), ID: text, Subject: subject, Created: now, LastSeen: now, Expires: later, Ends: later}
		}
		err := errors.Join(
			old.PutStaticToken(ctx, staticToken("1", "t", 0), storage.Digest{}), old.CreateSession(ctx, session("s", "1"), storage.Digest{}), old.CreateSession(ctx, session("nobody", ""), storage.Digest{}),
			old.CreateFamily(ctx, storage.Family{ID: "f", Purpose: "p", Subject: "1", Created: now, Expires: later}, storage.Refresh{Digest: storage.DigestOf("r"), Created: now, Expires: later}),
			old.SetSubjectPermissions(ctx, "1", []string{"app.read"}), old.SetSubjectGroups(ctx, "1", []string{"g"}), old.SetGroupPermissions(ctx, "g", []string{"app.write"}))
		if err != nil {
			t.Fatal(err)
		}
		// Writers that issue while the table is named: each row is of before, or not there.
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for i := range 4 {
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					text := fmt.Sprint("d", i, ".", n)
					_, err := old.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(text), ID: text, Subject: "1", Created: now, Expires: later}, storage.CredentialLimit{})
					if err != nil {
						if !errors.Is(err, gormstore.ErrSpace) && !errors.Is(err, storage.ErrStale) {
							t.Errorf("issuing meanwhile: %v", err)
						}
						return
					}
				}
			})
		}
		err = named.NameSpace(ctx)
		close(stop)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"subjects", "static_tokens", "device_tokens", "families", "sessions", "permissions", "group_members"} {
			var n, all int64
			if err := old.DB(ctx).Raw("SELECT COUNT(*), COUNT(*) FILTER (WHERE subject IS NULL OR subject NOT LIKE 'customers:%') FROM vestibule_"+table).Row().Scan(&all, &n); err != nil || n != 0 {
				t.Errorf("edge_A01: %s: %d of %d rows are without the name, %v", table, n, all, err)
			}
		}
		t.Run("edge_A01/running process", func(t *testing.T) {
			// The process without the name, which asked long ago whether it may go on.
			if _, err := old.UserByID(ctx, "1"); !errors.Is(err, gormstore.ErrSpace) {
				t.Errorf("an account: %v", err)
			}
			if _, err := old.UserByName(ctx, "ann"); !errors.Is(err, gormstore.ErrSpace) {
				t.Errorf("a login: %v", err)
			}
			if _, err := old.TokenStatusOf(ctx, "1", storage.BlockKeys{}); !errors.Is(err, gormstore.ErrSpace) {
				t.Errorf("a JWT: %v", err)
			}
			if _, _, err := old.TokenStatusWithUser(ctx, "1", storage.BlockKeys{}); !errors.Is(err, gormstore.ErrSpace) {
				t.Errorf("a JWT with its account: %v", err)
			}
			if _, err := old.SubjectEpoch(ctx, "1"); !errors.Is(err, gormstore.ErrSpace) {
				t.Errorf("an epoch: %v", err)
			}
			if _, err := old.BumpEpoch(ctx, "1"); !errors.Is(err, gormstore.ErrSpace) {
				t.Errorf("a bump: %v", err)
			}
			for what, err := range map[string]error{
				"token":   old.PutStaticToken(ctx, staticToken("1", "new", 0), storage.Digest{}),
				"session": old.CreateSession(ctx, session("new", "1"), storage.Digest{}),
				"family":  old.CreateFamily(ctx, storage.Family{ID: "n", Purpose: "p", Subject: "1", Created: now, Expires: later}, storage.Refresh{Digest: storage.DigestOf("n"), Created: now, Expires: later}),
			} {
				if !errors.Is(err, gormstore.ErrSpace) {
					t.Errorf("a new %s: %v", what, err)
				}
			}
			if _, _, err := old.StaticTokenByDigest(ctx, storage.DigestOf("t")); err == nil {
				t.Error("the token is still good where the name is unknown")
			}
			if v, _, err := old.SessionByDigest(ctx, storage.DigestOf("nobody")); err == nil {
				t.Errorf("a session of nobody: %+v", v)
			}
		})
		t.Run("edge_A01/credentials end", func(t *testing.T) {
			u, err := named.UserByID(ctx, "customers:1")
			if err != nil || u.Epoch == 0 {
				t.Fatalf("%+v, %v", u, err)
			}
			if tok, u, err := named.StaticTokenByDigest(ctx, storage.DigestOf("t")); err != nil || tok.Subject != "customers:1" || tok.Epoch == u.Epoch {
				t.Errorf("%+v, %+v, %v", tok, u, err)
			}
			if v, u, err := named.SessionByDigest(ctx, storage.DigestOf("s")); err != nil || v.Epoch == u.Epoch {
				t.Errorf("%+v, %+v, %v", v, u, err)
			}
			if st, err := named.TokenStatusOf(ctx, "1", storage.BlockKeys{}); err != nil || !st.Blocked {
				t.Errorf("a JWT of before, without a colon: %+v, %v", st, err)
			}
			// One that had a colon then is of epoch 0; no subject has that any more.
			if st, err := named.TokenStatusOf(ctx, "customers:77", storage.BlockKeys{}); err != nil || st.Epoch != u.Epoch {
				t.Errorf("a subject that was never seen: %+v, %v", st, err)
			}
			if names, err := named.SubjectPermissions(ctx, "customers:1"); err != nil || strings.Join(names, " ") != "app.read app.write" {
				t.Errorf("permissions: %v, %v", names, err)
			}
			n, err := named.BumpEpoch(ctx, "customers:1")
			if err != nil || n <= u.Epoch {
				t.Errorf("a bump after %d: %d, %v", u.Epoch, n, err)
			}
			if err := named.PutStaticToken(ctx, staticToken("customers:1", "again", n), storage.DigestOf("t")); err != nil {
				t.Errorf("a new token: %v", err)
			}
		})
	})
	t.Run("edge_A01/ids that look like subjects", func(t *testing.T) {
		eachDatabase(t, func(t *testing.T, _ string, open opener) {
			o := &gormstore.Options{Users: &gormstore.UserTable{Table: "users", ID: "username", Name: "username", Active: "TRUE"}}
			s := open(o)
			if err := errors.Join(s.Migrate(ctx), s.DB(ctx).Exec("CREATE TABLE users (username TEXT PRIMARY KEY)").Error, s.DB(ctx).Exec("INSERT INTO users VALUES ('ann'), ('staff:1'), ('Odd:1'), ('https://x.example/1')").Error); err != nil {
				t.Fatal(err)
			}
			n := *o
			n.Space = "customers"
			named := open(&n)
			refused(t, "NameSpace", named.NameSpace(ctx), "2 IDs")
			if _, err := s.UserByID(ctx, "staff:1"); err != nil {
				t.Errorf("the refusal changed something: %v", err)
			}
			if err := errors.Join(s.DB(ctx).Exec("DELETE FROM users WHERE username IN ('staff:1', 'https://x.example/1')").Error, named.NameSpace(ctx)); err != nil {
				t.Fatal(err)
			}
			// The first colon divides; the others belong to the id.
			if u, err := named.UserByID(ctx, "customers:Odd:1"); err != nil || u.LocalID() != "Odd:1" || u.Space() != "customers" {
				t.Errorf("%+v, %v", u, err)
			}
			if _, err := named.UserByID(ctx, "customers:"+strings.Repeat("x", 250)); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("a long id: %v", err)
			}
		})
	})
	for _, name := range []string{"A", "a b", "a:b", strings.Repeat("a", 33), "é", "a-b"} {
		if _, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), &gormstore.Options{Space: name}); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}
