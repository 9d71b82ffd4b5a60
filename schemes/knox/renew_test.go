package knox_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
)

// A sequence of uses determines a token's expiry and last use, and the number of writes.
func TestRenewal(t *testing.T) {
	const m = time.Minute
	for name, x := range map[string]struct {
		opts    knox.Options
		spec    knox.Token
		uses    []time.Duration
		expires time.Duration // 0: never
		used    time.Duration
		written int64
	}{
		"not renewed, its use is noted":        {knox.Options{TTL: time.Hour}, knox.Token{}, []time.Duration{5 * m, 30 * m}, time.Hour, 30 * m, 2},
		"renewed":                              {knox.Options{TTL: time.Hour, Renew: true}, knox.Token{}, []time.Duration{5 * m, 30 * m}, 90 * m, 30 * m, 2},
		"used all the time":                    {knox.Options{TTL: time.Hour, Renew: true}, knox.Token{}, []time.Duration{0, 1, m - 1}, time.Hour, 0, 1},
		"an interval later, to the nanosecond": {knox.Options{TTL: time.Hour, Renew: true}, knox.Token{}, []time.Duration{0, m - 1, m, m + 1}, time.Hour + m, m, 2},
		"another interval":                     {knox.Options{TTL: time.Hour, Renew: true, MinInterval: 10 * m}, knox.Token{}, []time.Duration{0, m, 9 * m, 10 * m, 19 * m}, 70 * m, 10 * m, 2},
		"its own TTL":                          {knox.Options{TTL: time.Hour, Renew: true}, knox.Token{TTL: 5 * m}, []time.Duration{4 * m, 8 * m}, 13 * m, 8 * m, 2},
		"fixed":                                {knox.Options{TTL: time.Hour, Renew: true}, knox.Token{Renewal: knox.Fixed}, []time.Duration{30 * m}, time.Hour, 30 * m, 1},
		"renewed by itself":                    {knox.Options{TTL: time.Hour}, knox.Token{Renewal: knox.Renewed}, []time.Duration{30 * m}, 90 * m, 30 * m, 1},
		"never ends":                           {knox.Options{TTL: knox.NoExpiry, Renew: true}, knox.Token{}, []time.Duration{30 * m}, 0, 30 * m, 1},
		"attack_334_a clock that went back":    {knox.Options{TTL: time.Hour, Renew: true}, knox.Token{}, []time.Duration{30 * m, 5 * m}, 65 * m, 5 * m, 2},
		"attack_334_not renewed":               {knox.Options{TTL: time.Hour}, knox.Token{}, []time.Duration{30 * m, 5 * m}, time.Hour, 5 * m, 2},
		"never":                                {knox.Options{TTL: time.Hour, Renew: true}, knox.Token{}, nil, time.Hour, -1, 0},
		"attack_039_expired, then used":        {knox.Options{TTL: time.Hour, Renew: true}, knox.Token{}, []time.Duration{time.Hour, 2 * time.Hour}, time.Hour, -1, 0},
		"attack_039_renewed, then expired":     {knox.Options{TTL: time.Hour, Renew: true}, knox.Token{}, []time.Duration{30 * m, 90 * m, 80 * m}, 140 * m, 80 * m, 2},
		"attack_040_no further than MaxTTL":    {knox.Options{TTL: time.Hour, Renew: true, MaxTTL: 100 * m}, knox.Token{}, []time.Duration{30 * m, 59 * m, 99 * m, 100 * m}, 100 * m, 99 * m, 3},
		"attack_040_of the token's own TTL":    {knox.Options{TTL: time.Hour, MaxTTL: 100 * m}, knox.Token{TTL: 90 * m, Renewal: knox.Renewed}, []time.Duration{80 * m}, 100 * m, 80 * m, 1},
		"no MaxTTL":                            {knox.Options{TTL: 20 * 24 * time.Hour, Renew: true, MaxTTL: knox.NoExpiry}, knox.Token{}, []time.Duration{19 * 24 * time.Hour, 38 * 24 * time.Hour}, 58 * 24 * time.Hour, 38 * 24 * time.Hour, 2},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s store) {
				schemetest.Add(t, s, "alice")
				var c schemetest.Clock
				counted := schemetest.Watch(s)
				x.opts.Clock = c.Now
				k := scheme(t, counted, &x.opts)
				text, rec := issue(t, k, "id-alice", x.spec)
				for _, at := range x.uses {
					c.Set(at)
					id, err := k.Authenticate(schemetest.With("Knox " + text))
					row, _, rerr := s.CredentialByDigest(t.Context(), "knox", rec.Digest)
					schemetest.Must(t, rerr)
					if over := row.Expired(c.Now()); over != (err != nil) {
						t.Errorf("at %s: %v, expires %s", at, err, row.Expires)
					} else if !over && (!id.Expires.Equal(row.Expires) || !id.Credential.(*storage.Credential).LastUsed.Equal(row.LastUsed)) {
						t.Errorf("at %s the identity says %s, the row %s", at, id.Expires, row.Expires)
					}
				}
				row, _, err := s.CredentialByDigest(t.Context(), "knox", rec.Digest)
				schemetest.Must(t, err)
				var expires, used time.Time
				if x.expires > 0 {
					expires = born.Add(x.expires)
				}
				if x.used >= 0 {
					used = born.Add(x.used)
				}
				if !row.Expires.Equal(expires) || !row.LastUsed.Equal(used) || counted.Touched() != x.written || counted.Calls("TouchCredential") != x.written {
					t.Errorf("expires %s (want %s), last used %s (want %s), %d of %d writes (want %d)",
						row.Expires, expires, row.LastUsed, used, counted.Touched(), counted.Calls("TouchCredential"), x.written)
				}
			})
		})
	}
}

// Ten hours with a request each second cause 600 writes.
func TestWritesPerInterval(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		var c schemetest.Clock
		counted := schemetest.Watch(s)
		x := scheme(t, counted, &knox.Options{Renew: true, Clock: c.Now})
		text, _ := issue(t, x, "id-alice", knox.Token{})
		for second := range 600 {
			c.Set(time.Duration(second) * time.Second)
			if refused(t, x, text) {
				t.Fatal("refused")
			}
		}
		if n := counted.Calls("TouchCredential"); n != 10 || counted.Touched() != n || counted.Calls("CredentialByDigest") != 600 {
			t.Errorf("%d writes (%d took effect) and %d reads for 600 requests in 10 intervals", n, counted.Touched(), counted.Calls("CredentialByDigest"))
		}
	})
}

// A token expires exactly at its expiry, to the nanosecond of the clock.
func TestExpiry(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		var c schemetest.Clock
		c.Set(999) // issued between two microseconds
		x := scheme(t, s, &knox.Options{TTL: time.Hour, Clock: c.Now})
		text, _ := issue(t, x, "id-alice", knox.Token{})
		t.Run("attack_038_at_expiry", func(t *testing.T) {
			for at, want := range map[time.Duration]bool{time.Hour - 1: false, time.Hour: true, time.Hour + 1: true, 1000 * time.Hour: true} {
				c.Set(at)
				if refused(t, x, text) != want {
					t.Errorf("at %s: refused is not %t", at, want)
				}
			}
		})
	})
}

// A use that cannot be written is logged and reported, and the request continues.
func TestUseIsBestEffort(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		var c schemetest.Clock
		var j schemetest.Journal
		var log strings.Builder
		counted := schemetest.Watch(s)
		x := scheme(t, counted, &knox.Options{Clock: c.Now, Renew: true, Audit: audit.To(j.Observe), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		text, rec := issue(t, x, "id-alice", knox.Token{})
		j.Take()
		counted.Fail(errors.New("read-only"), schemetest.Writes()...)
		t.Run("attack_051_use_not_written", func(t *testing.T) {
			for range 10 {
				id, err := x.Authenticate(schemetest.With("Knox " + text))
				if err != nil || !id.Expires.Equal(rec.Expires) || !id.Credential.(*storage.Credential).LastUsed.IsZero() {
					t.Errorf("%+v, %v", id, err)
				}
			}
			if n, got := counted.Calls("TouchCredential"), j.Take(); n != 1 || got != "use.unrecorded" {
				t.Errorf("%d attempts, events %q", n, got)
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), text) || !strings.Contains(log.String(), "read-only") {
				t.Errorf("log: %s", log.String())
			}
			c.Set(time.Second) // the pause has ended
			counted.Fail(nil, schemetest.Writes()...)
			refused(t, x, text)
			if counted.Touched() != 1 || j.Take() != "" {
				t.Error("not written once the store could again")
			}
		})
		t.Run("the_client_went_away", func(t *testing.T) {
			c.Set(time.Hour)
			counted.Fail(context.Canceled, schemetest.Writes()...)
			ctx, cancel := context.WithCancel(t.Context())
			gone := scheme(t, goneAfterRead{counted, cancel}, &knox.Options{Clock: c.Now, Audit: audit.To(j.Observe), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			before := log.Len()
			if _, err := gone.Authenticate(schemetest.With("Knox " + text).WithContext(ctx)); err != nil || j.Take() != "" || log.Len() != before {
				t.Errorf("%v, %s", err, log.String()[before:])
			}
		})
		t.Run("a_failed_read_is_a_fault", func(t *testing.T) {
			down := errors.New("down")
			counted.Fail(down, reads()...)
			if id, err := x.Authenticate(schemetest.With("Knox " + text)); !errors.Is(err, down) || id.Subject != "" {
				t.Errorf("%+v, %v", id, err)
			}
		})
	})
}

// goneAfterRead is a store whose client disconnects after the read.
type goneAfterRead struct {
	*schemetest.Watched
	cancel func()
}

func (g goneAfterRead) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	defer g.cancel()
	return g.Watched.CredentialByDigest(ctx, purpose, d)
}
