package recovery

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
)

// maxAddress is the maximum length of an address in bytes (RFC 5321, section 4.5.3.1).
const maxAddress = 254

// Request returns the endpoint that requests a link. It accepts a POST of "address" as JSON or as a
// form. Mount it outside the authentication chain.
//
// The response is the same 200 for every address, known or unknown. It is 400 if the body is
// malformed, 429 if a limit is reached and 503 if the queue is full. These do not depend on the
// address either.
func (r *Recovery) Request() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, err := r.request(w, req); err != nil {
			authn.Respond(w, req, authn.Undecided(err))
			return
		}
		login.Answer(w, map[string]string{"detail": "If this address belongs to an account, a message is on its way."})
	})
}

// request reads an address and puts it into a queue. It returns the address, also with most errors.
func (r *Recovery) request(w http.ResponseWriter, req *http.Request) (string, error) {
	v, err := login.Read(w, req, login.Field{Name: "address", Trim: true})
	if err != nil {
		return "", err
	}
	address := v[0]
	if len(address) > maxAddress {
		return "", authn.FieldError("address", fmt.Sprintf("Ensure this field has no more than %d bytes.", maxAddress))
	}
	return address, r.enqueue(req, address)
}

func (r *Recovery) enqueue(req *http.Request, address string) error {
	next, queue := pending{address: address}, r.queue
	if r.opts.Limiter != nil {
		// Count the address as typed, in lower case, without looking up its account.
		if _, err := r.opts.Limiter.Reserve(req, r.counted(address)); err != nil {
			if !throttled(err) {
				return err
			}
			// A caller that logged in before may still get a link for that account. Run checks
			// whether it did; the response reveals nothing.
			known, no := r.passwords.Recall(req)
			if no != nil {
				return err
			}
			next.known, queue = known, r.known
		}
	}
	select {
	case queue <- next:
		return nil
	default:
	}
	if queue == r.queue && r.opts.Limiter != nil {
		// Other callers can fill the queue within their limits while messages are slow.
		if known, no := r.passwords.Recall(req); no == nil {
			next.known, queue = known, r.known
		}
	}
	select {
	case queue <- next:
		return nil
	default:
		return &authn.Unavailable{RetryAfter: 5 * time.Second, Reason: "the queue of messages is full"}
	}
}

// pending is a request in a queue.
type pending struct {
	address string
	known   func(context.Context, storage.User) bool // nil if the request was within the limits
}

func throttled(err error) bool {
	var e *authn.Error
	return errors.As(err, &e) && e.Status == http.StatusTooManyRequests
}

// counted returns the name under which the limiter counts an address. It includes the account
// table, so equal addresses in two tables are counted separately.
func (r *Recovery) counted(address string) string {
	kind := "password reset"
	if space := storage.SpaceOf(r.store); space != "" {
		kind += " " + space
	}
	return kind + "\x00" + strings.ToLower(address)
}

// Run looks up accounts, creates tokens and delivers messages until ctx is done. It then returns
// ctx's error, and waiting requests stay in the queue. Call it on one goroutine or on several.
//
// A panic in Find or Deliver is logged and affects only that message. Requests of known callers
// that are beyond the limits have a queue of their own, which Run serves first.
func (r *Recovery) Run(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		select {
		case next := <-r.known:
			r.work(ctx, next)
			continue
		default:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case next := <-r.known:
			r.work(ctx, next)
		case next := <-r.queue:
			r.work(ctx, next)
		}
	}
}

func (r *Recovery) work(ctx context.Context, next pending) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	subject := ""
	defer func() {
		if v := recover(); v != nil {
			r.failed(ctx, subject, fmt.Errorf("panic of type %T", v)) // the text of the panic may hold the link
		}
	}()
	u, err := r.find(ctx, next.address)
	if errors.Is(err, storage.ErrNotFound) || err == nil && next.known != nil && !next.known(ctx, u) {
		return
	}
	if err == nil {
		subject = u.ID
		err = r.send(ctx, u)
	}
	if err != nil {
		r.failed(ctx, subject, err)
	}
}

func (r *Recovery) failed(ctx context.Context, subject string, err error) {
	cmp.Or(r.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelError, "recovery message not sent", slog.String("subject", subject), slog.Any("error", err))
	r.notify(ctx, audit.RecoveryFailed, subject)
}

// send creates a token for the account and delivers it. The last three tokens stay valid, so that
// strangers who request links do not invalidate the one that the owner is about to use. While all
// three are fresh it sends nothing, because the owner has them.
//
// It sends nothing to a disabled account, or to one without a usable password: such an account logs
// in by other means, and a link would add another way in.
func (r *Recovery) send(ctx context.Context, u storage.User) error {
	if !u.Active || !password.Usable(u.Password) {
		return nil
	}
	text, _ := format.New(rand.Reader) // cannot fail; see crypto/rand
	now := r.opts.Clock().UTC().Truncate(time.Microsecond)
	t := storage.OneTimeToken{
		Digest: storage.DigestOf(text), Subject: u.ID, Epoch: u.Epoch, Bound: boundTo(u.Email),
		Created: now, Expires: now.Add(r.opts.TTL),
	}
	err := r.store.InTx(ctx, func(ctx context.Context) error {
		list, err := r.store.ListOneTimes(ctx, u.ID)
		if err != nil {
			return err
		}
		if t.Purpose = r.free(list, &u, now); t.Purpose == "" {
			return nil
		}
		return r.store.CreateOneTimeToken(ctx, t)
	})
	if err == nil && t.Purpose == "" {
		cmp.Or(r.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelInfo, "recovery links still fresh", slog.String("subject", u.ID))
		return nil
	}
	if errors.Is(err, storage.ErrStale) { // the account was disabled or deleted, or its password changed, meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	delivered := false // stays false if Deliver panics
	defer func() {
		if !delivered {
			r.undelivered(context.WithoutCancel(ctx), t)
		}
	}()
	if err := r.deliver(ctx, Message{User: u, Link: r.page + "#token=" + text, Token: text, Expires: t.Expires}); err != nil {
		return err
	}
	delivered = true
	r.notify(ctx, audit.RecoverySent, u.ID)
	return nil
}

// undelivered makes a token count as old, so that it does not prevent the next one. It stays valid,
// because a mail server can report a failure for a message that arrives.
func (r *Recovery) undelivered(ctx context.Context, t storage.OneTimeToken) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	err := r.store.InTx(ctx, func(ctx context.Context) error {
		if err := r.store.ConsumeOneTimeToken(ctx, t); err != nil {
			return err
		}
		t.Created = t.Created.Add(-r.freshFor())
		return r.store.CreateOneTimeToken(ctx, t)
	})
	if err != nil && !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, storage.ErrStale) {
		r.failed(ctx, t.Subject, err)
	}
}

// freshFor is how long a new token prevents another one if all are new.
func (r *Recovery) freshFor() time.Duration { return min(fresh, r.opts.TTL/4) }

// free returns the purpose for the next token of an account: one without a valid token, or the one
// with the oldest token. It returns "" if all tokens are fresh.
func (r *Recovery) free(list []storage.OneTimeToken, u *storage.User, now time.Time) string {
	oldest, created := "", now.Add(-r.freshFor())
	for _, purpose := range purposes {
		i := slices.IndexFunc(list, func(t storage.OneTimeToken) bool {
			return t.Purpose == purpose && t.Epoch == u.Epoch && t.Bound == boundTo(u.Email) && !isExpired(t, now)
		})
		switch {
		case i < 0:
			return purpose
		case !list[i].Created.After(created):
			oldest, created = purpose, list[i].Created
		}
	}
	return oldest
}

// isExpired reports whether a token has expired, or was created while a clock was ahead. The latter
// would stay valid, and prevent new links, until the clock catches up.
func isExpired(t storage.OneTimeToken, now time.Time) bool {
	return t.Expired(now) || storage.Ahead(now, t.Created)
}

// boundTo returns a digest that binds a token to the address that it is sent to.
func boundTo(email string) storage.Digest { return storage.DigestOf("recovery address\x00" + email) }
