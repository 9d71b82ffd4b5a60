package password

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/observe"
)

// enter waits for a slot of the queue, and reports the wait.
func (h *Hasher) enter(ctx context.Context, a caller) (release func(), err error) {
	if h.sink == nil || h.sink.PasswordWait == nil {
		return h.queue.enter(ctx, a)
	}
	begun := time.Now()
	release, err = h.queue.enter(ctx, a)
	var busy *authn.Unavailable
	h.sink.PasswordWait(ctx, observe.PasswordWait{Known: a.known, Busy: errors.As(err, &busy), Wait: time.Since(begun)})
	return release, err
}

// count counts a hash computation, which lasts until done is called, and reports it.
func (h *Hasher) count(ctx context.Context, algorithm string) (done func()) {
	h.hashed.Add(1)
	done = func() {}
	if h.onHash != nil {
		done = h.onHash()
	}
	if h.sink == nil || h.sink.PasswordHash == nil {
		return done
	}
	begun, next := time.Now(), done
	return func() {
		h.sink.PasswordHash(ctx, observe.PasswordHash{Algorithm: algorithm, Duration: time.Since(begun)})
		next()
	}
}

// algorithm returns the algorithm of new hashes.
func (f Format) algorithm() string {
	if f.version != "" {
		return "bcrypt"
	}
	return "argon2"
}

// algorithmOf returns the algorithm of an encoded hash. The hash of an unknown account is "other": it
// takes as long as the slowest one.
func algorithmOf(encoded string, known bool) string {
	if known {
		for _, name := range [...]string{"argon2", "bcrypt", "pbkdf2", "scrypt"} {
			if strings.HasPrefix(strings.TrimPrefix(encoded, "$"), name) {
				return name
			}
		}
		if strings.HasPrefix(encoded, "$2") {
			return "bcrypt"
		}
	}
	return "other"
}
