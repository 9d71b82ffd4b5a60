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

// chosenSecrets checks client secrets that somebody chose. The limiter counts each hash, and a
// wrong secret costs one whether or not the client exists. A right secret is remembered for a
// minute, for the address that it came from, so a client that authenticates often costs one hash
// a minute and is not limited.
type chosenSecrets struct {
	verifier SecretVerifier
	limiter  authn.LoginLimiter // nil: InsecureNoLimiter
	now      func() time.Time
	key      [32]byte

	mu    sync.Mutex
	right map[[32]byte]remembered // by client and source
}

// remembered is a secret that was right.
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
		return nil, errors.New("server: New: ChosenSecrets requires a Verifier")
	case x.InsecureNoLimiter && x.Limiter != nil:
		return nil, errors.New("server: New: Limiter and InsecureNoLimiter exclude each other")
	}
	c := &chosenSecrets{verifier: x.Verifier, limiter: x.Limiter, now: clock, right: make(map[[32]byte]remembered)}
	_, _ = rand.Read(c.key[:]) // never fails; see crypto/rand
	if c.limiter == nil && !x.InsecureNoLimiter {
		l, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Proxies: o.Proxies, Logger: o.Logger, Clock: clock})
		if err != nil {
			return nil, err
		}
		c.limiter = l
	}
	return c, nil
}

// fits reports whether the secret is the client's, and whether that took a hash, so that the client
// may have changed since it was read. encoded is "" if there is no such client, or
// its secret is of another kind: that costs the same. The error is the limiter's *authn.Error,
// or a fault.
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
		if encoded != "" { // another secret is another epoch
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

// mac is over both texts with the length of the first.
func (c *chosenSecrets) mac(a, b string) (m [32]byte) {
	h := hmac.New(sha256.New, c.key[:])
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(a))))
	_, _ = h.Write([]byte(a))
	_, _ = h.Write([]byte(b))
	h.Sum(m[:0])
	return m
}

// remembers forgets what is remembered of a client at an address with the first other secret from
// there, so that the memory is no way to guess without a limit.
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
		for k := range c.right { // any: it is verified again
			delete(c.right, k)
			break
		}
	}
	c.right[at] = remembered{sealed, c.now().Add(rememberSecret)}
}
