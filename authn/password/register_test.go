package password_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
)

func TestRegister(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{Validate: func(_ context.Context, u storage.User, pw string) error {
		if strings.Contains(pw, u.Name) {
			return password.Refused("The password is too similar to the username.")
		}
		if pw == "the service is down" {
			return errors.New("no answer")
		}
		return nil
	}})
	taken := w.register(t, "taken")
	before := w.hasher.Hashed()
	for field, n := range map[string][]password.NewUser{
		"username": {{Name: "", Password: secret}, {Name: "a b", Password: secret}, {Name: "a\u200db", Password: secret}, {Name: "\ufb01x", Password: secret}, {Name: "x.", Password: secret}, {Name: strings.Repeat("x", 151), Password: secret}, {Name: "TAKEN", Password: secret}},
		"email":    {{Name: "bob", Password: secret, Email: "a\x00@example.com"}, {Name: "bob", Password: secret, Email: "\xff@example.com"}},
		"password": {{Name: "bob", Password: "1234567"}, {Name: "bob", Password: ""}, {Name: "bob", Password: "with\x00null"}, {Name: "bob", Password: "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"}, {Name: "bob", Password: strings.Repeat("x", 1025)}, {Name: "bob", Password: "iambobiambob"}},
	} {
		for _, x := range n {
			_, err := w.checker.Register(t.Context(), x)
			var e *authn.Error
			if !errors.As(err, &e) || e.Status != 400 || len(e.Members) != 1 || e.Members[0].Name != field {
				t.Errorf("%s: %v", x, err)
			}
		}
	}
	for what, x := range map[string]struct {
		n    password.NewUser
		want error
	}{
		"an ID that cannot be kept":  {password.NewUser{ID: "a\x00b", Name: "bob", Password: secret}, storage.ErrInvalid},
		"a role that cannot be kept": {password.NewUser{Name: "bob", Password: secret, Roles: []string{"a,b"}}, storage.ErrInvalid},
		"an ID that is taken":        {password.NewUser{ID: taken.ID, Name: "bob", Password: secret}, storage.ErrConflict},
		"a policy that cannot tell":  {password.NewUser{Name: "bob", Password: "the service is down"}, nil},
	} {
		if _, err := w.checker.Register(t.Context(), x.n); status(err) != 503 || x.want != nil && !errors.Is(err, x.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if w.hasher.Hashed() != before {
		t.Error("a refused registration was hashed")
	}
	var seen storage.User
	u, err := w.checker.Register(t.Context(), password.NewUser{Name: "Bob", Password: secret, Email: "b@example.com"}, func(ctx context.Context, u storage.User) error {
		seen = u
		_, err := w.store.UserByID(ctx, u.ID)
		return err
	})
	must(t, err)
	if u.Name != "bob" || seen.ID != u.ID || len(u.ID) < 20 || !u.Active {
		t.Errorf("%+v", u)
	}
	failed := errors.New("hook failed")
	if _, err := w.checker.Register(t.Context(), password.NewUser{Name: "carol", Password: secret}, func(context.Context, storage.User) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if _, err := w.store.UserByName(t.Context(), "carol"); !errors.Is(err, storage.ErrNotFound) {
		t.Error("an account is there though its hook failed")
	}
	n := password.NewUser{Name: "dave", Password: secret}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "user", n)
	text, err := json.Marshal([]any{n, &n})
	must(t, err)
	if all := fmt.Sprintf("%v %+v %#v %q %s %s", n, &n, n, n, text, log.String()); strings.Contains(all, secret) {
		t.Errorf("a password is printed: %s", all)
	}
}

// A change by an administrator between the check of the old password and the change of the password
// stays.
func TestChangePasswordMeetsAnother(t *testing.T) {
	for what, meanwhile := range map[string]func(context.Context, storage.Accounts, string) error{
		"reset":    func(ctx context.Context, s storage.Accounts, id string) error { return s.SetPassword(ctx, id, "!") },
		"disabled": func(ctx context.Context, s storage.Accounts, id string) error { return s.SetActive(ctx, id, false) },
		"deleted":  func(ctx context.Context, s storage.Accounts, id string) error { return s.DeleteUser(ctx, id) },
	} {
		var w *world
		w = newWorld(t, cheap(), password.Options{User: func(ctx context.Context, u storage.Account) (authn.User, error) {
			return &u, meanwhile(ctx, w.store, u.ID)
		}})
		u := w.register(t, "alice")
		err := w.checker.ChangePassword(httptest.NewRequest("POST", "/", nil), "alice", secret, "another-secret-1")
		if status(err) != 400 {
			t.Errorf("%s: %v", what, err)
		}
		if got, err := w.store.UserByID(t.Context(), u.ID); what == "reset" && (err != nil || got.Password != "!") {
			t.Errorf("the reset was overwritten, %v", err)
		}
	}
}

// Of many concurrent registrations of a name, one succeeds.
func TestRegisterAtOnce(t *testing.T) {
	w := newWorld(t, cheap(), password.Options{})
	var made, refused atomic.Int64
	var wg sync.WaitGroup
	for _, name := range []string{"alice", "ALICE", "\uff21lice", " alice", "Alice", "aLICE"} {
		wg.Go(func() {
			switch _, err := w.checker.Register(t.Context(), password.NewUser{Name: name, Password: secret}); status(err) {
			case 200:
				made.Add(1)
			case 400:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || refused.Load() != 5 {
		t.Errorf("%d accounts, %d refusals", made.Load(), refused.Load())
	}
}

// A client's request can set neither the roles nor the ID of the account that it registers, not
// even in a type that embeds NewUser.
func TestNewUserOfARequest_attack_277(t *testing.T) {
	const body = `{"Name":"eve","name":"eve","Password":"wonderland-42","Email":"e@app.example","ID":"42","id":"42","Id":"42","Roles":["admin"],"roles":["admin"],"-":"42"}`
	var plain password.NewUser
	var wrapped struct {
		password.NewUser
		Invitation string
	}
	for _, to := range []any{&plain, &wrapped} {
		if err := json.Unmarshal([]byte(body), to); err != nil {
			t.Fatal(err)
		}
	}
	var listed password.NewUser
	if err := xml.Unmarshal([]byte("<NewUser><Name>eve</Name><Password>wonderland-42</Password><Email>e@app.example</Email><ID>42</ID><Roles>admin</Roles></NewUser>"), &listed); err != nil {
		t.Fatal(err)
	}
	for _, n := range []password.NewUser{plain, wrapped.NewUser, listed} {
		if n.Name != "eve" || n.Password != "wonderland-42" || n.Email != "e@app.example" {
			t.Errorf("name %q and e-mail %q were not read", n.Name, n.Email)
		}
		if n.ID != "" || n.Roles != nil {
			t.Errorf("a request set ID %q and roles %q", n.ID, n.Roles)
		}
	}
	// Decoders of other packages use their own tags.
	of := reflect.TypeFor[password.NewUser]()
	for _, name := range []string{"ID", "Roles"} {
		f, _ := of.FieldByName(name)
		for _, tag := range []string{"json", "xml", "yaml", "form", "query", "schema", "mapstructure"} {
			if f.Tag.Get(tag) != "-" {
				t.Errorf("%s: tag %s is %q", name, tag, f.Tag.Get(tag))
			}
		}
	}
}
