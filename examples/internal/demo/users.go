package demo

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// Passwords returns the checker that all login endpoints share: argon2id behind a queue, Unicode
// names in their normal form, and login limits.
func (f *Flags) Passwords(db password.Store, ring *keys.Ring) (*password.Checker, error) {
	limiter, err := f.Limiter(ring)
	if err != nil {
		return nil, err
	}
	hasher, err := f.Hasher()
	if err != nil {
		return nil, err
	}
	return password.New(db, hasher, &password.Options{
		Canonical: username.Canonical, Limiter: limiter, InsecureNoLimiter: limiter == nil, Proxies: f.Proxies, FailureFloor: f.FailureFloor,
		MinLength: 1, InsecureAllowCommon: true, // a demo takes what -user says
	})
}

// Hasher returns the one hasher of the server: its slots bound passwords and chosen client
// secrets together.
func (f *Flags) Hasher() (*password.Hasher, error) {
	if f.hasher == nil {
		h, err := password.NewHasher(nil)
		if err != nil {
			return nil, err
		}
		f.hasher = h
	}
	return f.hasher, nil
}

// Limiter returns the one limiter of logins and of chosen client secrets, as -login-rate says; nil
// for off, which is logged.
func (f *Flags) Limiter(ring *keys.Ring) (authn.LoginLimiter, error) {
	rate, err := f.loginRate()
	switch {
	case err != nil:
		return nil, err
	case rate.IsOff():
		slog.Warn("login limits are off", "flag", "-login-rate")
		return nil, nil
	case f.limiter != nil:
		return f.limiter, nil
	}
	// -login-rate is what a stranger at one address may try at one account.
	limits := throttle.DefaultLoginLimits().Scale(rate.Limit, throttle.DefaultLoginLimits().AccountPlace[0].Limit)
	_, names := ring.Newest(keys.ThrottleNames)
	_, device := ring.Newest(keys.DeviceCookie)
	counters := f.Counters
	if counters == nil {
		counters = throttle.NewMemory(nil)
	}
	l, err := throttle.NewLogin(counters, &throttle.LoginOptions{
		Limits: &limits, NameKey: names[:], DeviceKey: device[:], PlainHTTP: f.onLoopback() && f.Origin == "", Proxies: f.Proxies,
	})
	if err != nil {
		return nil, err
	}
	f.limiter = l
	return l, nil
}

// Auth returns options of a middleware that limits refused credentials; without a limit for
// -login-rate off.
func (f *Flags) Auth() (*authn.Options, error) {
	rate, err := f.loginRate()
	if err != nil {
		return nil, err
	}
	if rate.IsOff() {
		return &authn.Options{Proxies: f.Proxies}, nil
	}
	l, err := throttle.NewRefusals(nil)
	if err != nil {
		return nil, err
	}
	return &authn.Options{Refusals: l, Proxies: f.Proxies}, nil
}

func (f *Flags) loginRate() (throttle.Rate, error) {
	rate, err := throttle.ParseRate(f.LoginRate)
	if err != nil {
		return rate, fmt.Errorf("-login-rate: %w", err)
	}
	if !rate.IsOff() && rate.Window != time.Minute {
		return rate, fmt.Errorf("-login-rate: rate %q: must be a number for each minute, such as 10/m, or off", f.LoginRate)
	}
	return rate, nil
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

// Health answers 200 where the store answers, else 503. It says if the cache is not used, because the
// changes of other replicas may not have arrived.
func Health(db interface{ Ping(context.Context) error }) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := db.Ping(r.Context()); err != nil {
			authn.Respond(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if s, ok := db.(interface{ Freshness() cached.Freshness }); ok && !s.Freshness().Lease {
			_, _ = w.Write([]byte(`{"status":"ok","cache":"bypassed"}`)) // slower, and all replicas at once would be an outage
			return
		}
		_, _ = w.Write([]byte(`{"status":"ok"}`))
	})
}
