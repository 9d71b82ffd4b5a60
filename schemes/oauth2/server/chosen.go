package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/storage"
)

// chosenSecrets checks client secrets that a person chose. The limiter counts each hash, and a
// wrong secret costs a hash whether or not the client exists. A correct secret is remembered for a
// minute, for the address that it came from. So a client that authenticates often costs one hash
// per minute and is not limited.
type chosenSecrets struct {
	verifier SecretVerifier
	limiter  authn.LoginLimiter // nil with InsecureNoLimiter
	now      func() time.Time
	key      [32]byte

	mu    sync.Mutex
	right map[[32]byte]remembered // by client and source address
}

// remembered is a secret that was correct.
type remembered struct {
	secret [32]byte // a MAC over secret and stored hash
	until  time.Time
}

const (
	rememberSecret  = time.Minute
	maxRightSecrets = 10_000
)

// newChosenSecrets returns nil if there are no chosen secrets.
func newChosenSecrets(o *Options, clock func() time.Time) (*chosenSecrets, error) {
	x := o.InsecureChosenSecrets
	switch {
	case x == nil:
		return nil, nil
	case x.Verifier == nil:
		return nil, errors.New("server: New: InsecureChosenSecrets: Verifier is required")
	case x.InsecureNoLimiter && x.Limiter != nil:
		return nil, errors.New("server: New: InsecureChosenSecrets: both Limiter and InsecureNoLimiter are set (at most one)")
	}
	c := &chosenSecrets{verifier: x.Verifier, limiter: x.Limiter, now: clock, right: make(map[[32]byte]remembered)}
	_, _ = rand.Read(c.key[:]) // cannot fail; see crypto/rand
	if c.limiter == nil && !x.InsecureNoLimiter {
		l, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Proxies: o.Proxies, Logger: o.Logger, Clock: clock})
		if err != nil {
			return nil, err
		}
		c.limiter = l
	}
	return c, nil
}

// fits reports whether the secret is the client's. hashed reports whether that took a hash, so that
// the client may have changed since it was read. encoded is "" if there is no such client, or if
// its secret is of another kind; that costs the same. The error is the limiter's *authn.Error, or a
// server error.
func (c *chosenSecrets) fits(r *http.Request, source, client string, encoded storage.PasswordHash, secret string) (ok, hashed bool, err error) {
	at, sealed := c.mac(client, source), c.mac(secret, string(encoded))
	if encoded != "" && c.remembers(at, sealed) {
		return true, false, nil
	}
	ctx := r.Context()
	if c.limiter == nil {
		ok, _, err := c.verifier.Verify(ctx, source, encoded, secret)
		return ok && encoded != "", true, err
	}
	attempt, err := c.limiter.Reserve(r, "oauth2 client\x00"+client)
	if err != nil {
		return false, false, err
	}
	if a, ok := attempt.(authn.AccountAttempt); ok {
		subject, epoch := "", int64(0)
		if encoded != "" { // a new secret counts as a new epoch
			f := encoded.Fingerprint()
			subject, epoch = client, int64(binary.BigEndian.Uint64(f[:]))
		}
		if err := a.Account(ctx, subject, epoch); err != nil {
			return false, false, err
		}
	}
	ok, _, err = c.verifier.Verify(ctx, attempt.Source(), encoded, secret)
	ok = ok && encoded != "" && err == nil
	switch {
	case err != nil:
		attempt.Cancelled(ctx)
	case ok:
		attempt.Succeeded(ctx)
		c.remember(at, sealed)
	}
	return ok, true, err
}

// mac returns a MAC over both texts and the length of the first.
func (c *chosenSecrets) mac(a, b string) (m [32]byte) {
	h := hmac.New(sha256.New, c.key[:])
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(a))))
	_, _ = h.Write([]byte(a))
	_, _ = h.Write([]byte(b))
	h.Sum(m[:0])
	return m
}

// remembers reports whether a secret of a client at an address was correct recently. The first
// other secret from that address removes the entry, so that the cache does not allow guesses
// without a limit.
func (c *chosenSecrets) remembers(at, sealed [32]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.right[at]
	if ok && (!hmac.Equal(x.secret[:], sealed[:]) || !c.now().Before(x.until)) {
		delete(c.right, at)
		return false
	}
	return ok
}

func (c *chosenSecrets) remember(at, sealed [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.right) >= maxRightSecrets {
		for k := range c.right { // any entry; it will be verified again
			delete(c.right, k)
			break
		}
	}
	c.right[at] = remembered{sealed, c.now().Add(rememberSecret)}
}
