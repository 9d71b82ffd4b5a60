package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// Passwords returns the checker that all login endpoints share: argon2id behind a
// semaphore, Unicode names in their normal form, and login limits.
func (f *Flags) Passwords(db password.Store, ring *keys.Ring) (*password.Checker, error) {
	limiter, err := f.loginLimiter(ring)
	if err != nil {
		return nil, err
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	return password.New(db, hasher, &password.Options{
		Canonical: username.Canonical, Limiter: limiter,
		MinLength: 1, // a demo takes what -user says
	})
}

// loginLimiter holds one rate per account and per address, as -login-rate says.
func (f *Flags) loginLimiter(ring *keys.Ring) (authn.LoginLimiter, error) {
	limit, err := f.loginRate()
	if err != nil || limit.IsZero() {
		return nil, err
	}
	_, names := ring.Newest(keys.ThrottleNames)
	_, device := ring.Newest(keys.DeviceCookie)
	return throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{
		Account: []throttle.Rate{limit}, Source: []throttle.Rate{limit},
		NameKey: names[:], DeviceKey: device[:], PlainHTTP: f.onLoopback() && f.Origin == "", Proxies: f.Proxies,
	})
}

func (f *Flags) loginRate() (throttle.Rate, error) {
	limit, err := throttle.ParseRate(f.LoginRate)
	if err != nil {
		return limit, fmt.Errorf("-login-rate: %w", err)
	}
	return limit, nil
}

// onLoopback reports whether the server listens on loopback: then cookies work
// over plain http. Elsewhere they want https.
func (f *Flags) onLoopback() bool {
	host, _, err := net.SplitHostPort(f.Addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// AddUsers registers those of users that are not there yet.
func AddUsers(ctx context.Context, db storage.Users, passwords *password.Checker, users []User) error {
	for _, u := range users {
		name, err := username.Canonical(u.Name)
		if err != nil {
			return fmt.Errorf("-user %q: %w", u.Name, err)
		}
		_, err = db.UserByName(ctx, name)
		if err == nil {
			continue
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		_, err = passwords.Register(ctx, password.NewUser{Name: name, Email: name + "@example.com", Password: u.Password, Roles: u.Roles})
		if err != nil {
			return fmt.Errorf("-user %q: %w", u.Name, err)
		}
	}
	return nil
}

// Health answers 200 where the store answers, else 503.
func Health(db interface{ Ping(context.Context) error }) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := db.Ping(r.Context()); err != nil {
			authn.Respond(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}`))
	})
}
