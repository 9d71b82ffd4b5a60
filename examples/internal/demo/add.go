package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/storage"
)

// Published returns flags whose only users are these, with passwords that everybody knows.
func (f *Flags) Published(users ...User) *Flags {
	c := *f
	c.Users, c.published = users, true
	return &c
}

// IsDemo reports whether credentials that everybody knows can be added to the database: it has no
// accounts but those of Users, with their passwords, or -demo says so.
func (f *Flags) IsDemo(ctx context.Context, db storage.Users) (bool, error) {
	if f.Demo {
		return true, nil
	}
	hasher, err := f.Hasher()
	if err != nil {
		return false, err
	}
	accounts, err := db.ListUsers(ctx, "", len(f.Users)+1)
	if err != nil {
		return false, err
	}
	for _, a := range accounts {
		i := slices.IndexFunc(f.Users, func(u User) bool {
			name, err := username.Canonical(u.Name)
			return err == nil && name == a.Name
		})
		if i < 0 {
			return false, nil
		}
		if ok, _, err := hasher.Verify(ctx, "", a.Password, f.Users[i].Password); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// Missing returns the users that are to be added: those that are not there yet. If their passwords
// are published and the database is somebody's own (see IsDemo), they are none, and the log says so.
func (f *Flags) Missing(ctx context.Context, db storage.Users) ([]User, error) {
	var missing []User
	var names []string
	for _, u := range f.Users {
		name, err := username.Canonical(u.Name)
		if err != nil {
			return nil, fmt.Errorf("-user %q: %w", u.Name, err)
		}
		_, err = db.UserByName(ctx, name)
		if errors.Is(err, storage.ErrNotFound) {
			missing, names, err = append(missing, u), append(names, name), nil
		}
		if err != nil {
			return nil, err
		}
	}
	if len(missing) == 0 || !f.published {
		return missing, nil
	}
	demo, err := f.IsDemo(ctx, db)
	if err != nil || demo {
		return missing, err
	}
	slog.Warn("demo users not added: database has other accounts", "users", names, "flags", "-demo, -user")
	return nil, nil
}

// AddUsers registers the users that are missing. Several servers can start at the same
// time: one registers a user, and the others find it.
func (f *Flags) AddUsers(ctx context.Context, db storage.Users, passwords *password.Checker) error {
	missing, err := f.Missing(ctx, db)
	if err != nil {
		return err
	}
	for _, u := range missing {
		name, err := username.Canonical(u.Name)
		if err != nil {
			return fmt.Errorf("-user %q: %w", u.Name, err)
		}
		_, err = passwords.Register(ctx, password.NewUser{Name: name, Email: name + "@example.com", Password: u.Password, Roles: u.Roles})
		if err == nil {
			continue
		}
		if _, found := db.UserByName(ctx, name); found != nil { // else another server was first
			return fmt.Errorf("-user %q: %w", u.Name, err)
		}
	}
	return nil
}
