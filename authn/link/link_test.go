package link_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/link"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

const idp = "https://login.example"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func directory(t testing.TB, s link.Store, o link.Options) *link.Directory {
	t.Helper()
	d, err := link.New(s, &o)
	must(t, err)
	return d
}

// claims returns the claims of a token.
func claims(text string) func(string, any) error {
	return func(name string, v any) error {
		var all map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return err
		}
		return json.Unmarshal(all[name], v)
	}
}

func accounts(t testing.TB, s link.Store) int {
	t.Helper()
	list, err := s.ListUsers(t.Context(), "", 100)
	must(t, err)
	return len(list)
}

func addAlice(t testing.TB, s link.Store) {
	t.Helper()
	must(t, s.CreateUser(t.Context(), storage.User{ID: "1", Name: "alice", Email: "alice@example.com", Active: true}))
}

// Of many first logins at the same time, one creates the account and the link, and all get the account.
func TestFirstLoginsAtTheSameTime(t *testing.T) {
	for name, decide := range map[string]func(link.Store) func(context.Context, link.Person) (link.Decision, error){
		"create": func(link.Store) func(context.Context, link.Person) (link.Decision, error) {
			return func(_ context.Context, p link.Person) (link.Decision, error) {
				return link.Create(storage.User{Name: "user " + p.Subject}), nil
			}
		},
		// The application inserts accounts itself, with names that do not collide.
		"own insert": func(s link.Store) func(context.Context, link.Person) (link.Decision, error) {
			var n atomic.Int64
			return func(ctx context.Context, _ link.Person) (link.Decision, error) {
				id := fmt.Sprint("own", n.Add(1))
				return link.To(id), s.CreateUser(ctx, storage.User{ID: id, Name: id, Active: true})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s storagetest.Store) {
				d := directory(t, s, link.Options{First: decide(s)})
				const together = 16
				var ids [together]string
				var errs [together]error
				var wg sync.WaitGroup
				for i := range together {
					wg.Go(func() {
						u, err := d.AccountOf(t.Context(), idp, "7", nil)
						ids[i], errs[i] = u.ID, err
					})
				}
				wg.Wait()
				must(t, errors.Join(errs[:]...))
				for _, id := range ids {
					if id == "" || id != ids[0] {
						t.Errorf("accounts %q", ids)
						break
					}
				}
				if n := accounts(t, s); n != 1 {
					t.Errorf("%d accounts", n)
				}
				if list, err := d.Links(t.Context(), ids[0]); err != nil || len(list) != 1 {
					t.Errorf("%v, %v", list, err)
				}
			})
		})
	}
}

// An address links nothing. A new account whose name is taken gets an error, not the account.
func TestAddressLinksNothing_attack_504(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		addAlice(t, s)
		d := directory(t, s, link.Options{First: func(_ context.Context, p link.Person) (link.Decision, error) {
			return link.Create(storage.User{Name: p.Text("preferred_username"), Email: p.Text("email")}), nil
		}})
		for _, verified := range []string{"true", "false"} {
			text := `{"preferred_username":"alice","email":"alice@example.com","email_verified":` + verified + `}`
			if u, err := d.AccountOf(t.Context(), idp, "7", claims(text)); !errors.Is(err, link.ErrTaken) || u.ID != "" {
				t.Errorf("verified %s: %q, %v", verified, u.ID, err)
			}
		}
		u, err := d.AccountOf(t.Context(), idp, "7", claims(`{"preferred_username":"alice2","email":"alice@example.com","email_verified":true}`))
		if err != nil || u.ID == "1" || u.Name != "alice2" {
			t.Errorf("%+v, %v", u, err)
		}
		if list, err := d.Links(t.Context(), "1"); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
	})
}

// Without a decision of the application nothing is created, and a decision that fails changes nothing.
func TestRefusedFirstLogins(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		addAlice(t, s)
		must(t, s.CreateUser(t.Context(), storage.User{ID: "2", Name: "off"}))
		down, banned := errors.New("down"), authn.PermissionDenied("Ask your administrator.")
		for name, c := range map[string]struct {
			first func(context.Context, link.Person) (link.Decision, error)
			want  error
		}{
			"no function":  {nil, link.ErrNoAccount},
			"zero":         {func(context.Context, link.Person) (link.Decision, error) { return link.Decision{}, nil }, link.ErrNoAccount},
			"refused":      {func(context.Context, link.Person) (link.Decision, error) { return link.Refuse(), nil }, storage.ErrNotFound},
			"own response": {func(context.Context, link.Person) (link.Decision, error) { return link.To("1"), banned }, banned},
			"nobody":       {func(context.Context, link.Person) (link.Decision, error) { return link.To("3"), nil }, storage.ErrStale},
			"disabled":     {func(context.Context, link.Person) (link.Decision, error) { return link.To("2"), nil }, storage.ErrStale},
			"fault after an insert": {func(ctx context.Context, _ link.Person) (link.Decision, error) {
				return link.To("9"), errors.Join(s.CreateUser(ctx, storage.User{ID: "9", Name: "nine", Active: true}), down)
			}, down},
		} {
			d := directory(t, s, link.Options{First: c.first})
			if u, err := d.AccountOf(t.Context(), idp, "7", nil); !errors.Is(err, c.want) || u.ID != "" {
				t.Errorf("%s: %q, %v", name, u.ID, err)
			}
		}
		d := directory(t, s, link.Options{First: func(context.Context, link.Person) (link.Decision, error) { panic("secret") }})
		if u, err := d.AccountOf(t.Context(), idp, "7", nil); err == nil || u.ID != "" || errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a panic: %q, %v", u.ID, err)
		}
		if n := accounts(t, s); n != 2 {
			t.Errorf("%d accounts", n)
		}
		if _, _, err := s.LinkOf(t.Context(), idp, "7"); !errors.Is(err, storage.ErrNotFound) {
			t.Error(err)
		}
	})
}

// Only "email_verified": true of a named issuer counts.
func TestVerifiedEmail(t *testing.T) {
	for text, want := range map[string]bool{
		`{"email":"a@b.example","email_verified":true}`:   true,
		`{"email":"a@b.example","email_verified":"true"}`: false,
		`{"email":"a@b.example","email_verified":1}`:      false,
		`{"email":"a@b.example","email_verified":null}`:   false,
		`{"email":"a@b.example","email_verified":false}`:  false,
		`{"email":"a@b.example"}`:                         false,
		`{"email":"","email_verified":true}`:              false,
		`{"email":["a@b.example"],"email_verified":true}`: false,
		`{"upn":"a@b.example","email_verified":true}`:     false,
	} {
		p := link.NewPerson(idp, "7", claims(text))
		if email, ok := p.VerifiedEmail("https://other.example", idp); ok != want || ok != (email == "a@b.example") {
			t.Errorf("%s: %q, %t", text, email, ok)
		}
		if _, ok := p.VerifiedEmail("https://other.example", idp+"/"); ok {
			t.Errorf("%s: another issuer", text)
		}
		if _, ok := p.VerifiedEmail(); ok {
			t.Errorf("%s: no issuer", text)
		}
	}
	if _, ok := link.NewPerson(idp, "7", nil).VerifiedEmail(idp); ok {
		t.Error("without claims")
	}
}

// A user of an issuer has one account, and unlinking ends what was opened through the link.
func TestLinkAndUnlink(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		addAlice(t, s)
		must(t, s.CreateUser(t.Context(), storage.User{ID: "2", Name: "bob", Active: true}))
		var kinds []audit.Kind
		d := directory(t, s, link.Options{Audit: audit.To(func(_ context.Context, e audit.Event) { kinds = append(kinds, e.Kind) })})
		epoch, err := s.SubjectEpoch(t.Context(), "1")
		must(t, err)
		l, err := d.Link(t.Context(), "1", epoch, idp, "7")
		must(t, err)
		for _, subject := range []string{"1", "2"} {
			if _, err := d.Link(t.Context(), subject, epoch, idp, "7"); !errors.Is(err, link.ErrTaken) {
				t.Errorf("linked twice, to %s: %v", subject, err)
			}
		}
		if u, err := d.AccountOf(t.Context(), idp, "7", nil); err != nil || u.ID != "1" {
			t.Errorf("%q, %v", u.ID, err)
		}
		if err := d.Unlink(t.Context(), "2", l.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the link of another account: %v", err)
		}
		must(t, d.Unlink(t.Context(), "1", l.ID))
		if now, err := s.SubjectEpoch(t.Context(), "1"); err != nil || now == epoch {
			t.Errorf("epoch %d, %v", now, err)
		}
		if _, err := d.Link(t.Context(), "1", epoch, idp, "7"); !errors.Is(err, storage.ErrStale) {
			t.Errorf("linked by a session from before: %v", err)
		}
		if got := fmt.Sprint(kinds); got != "[link.created link.deleted]" {
			t.Error(got)
		}
	})
}

// Explain is a dry run.
func TestExplainCreatesNoAccount(t *testing.T) {
	s := memory.New(nil)
	d := directory(t, s, link.Options{First: func(context.Context, link.Person) (link.Decision, error) {
		return link.Create(storage.User{Name: "new"}), nil
	}})
	_, _, err := authn.New(explained{d}, nil).Explain(newRequest())
	if n := accounts(t, s); n != 0 || err == nil {
		t.Errorf("%d accounts, %v", n, err)
	}
}
