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
	"github.com/vestibule-auth/vestibule/storage"
)

// maxAddress is the longest address, in bytes (RFC 5321 section 4.5.3.1).
const maxAddress = 254

// Request returns the endpoint that asks for a link: POST of {"address"}, as JSON or as a
// form, answered with the same 200 for every address, known or not. A malformed body is a
// 400, a limit that is reached a 429, a full queue a 503, for every address alike. Mount it
// outside the chain.
func (r *Recovery) Request() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := r.request(w, req); err != nil {
			authn.Respond(w, req, authn.Undecided(err))
			return
		}
		login.Answer(w, map[string]string{"detail": "If there is an account of that address, a message is on its way."})
	})
}

func (r *Recovery) request(w http.ResponseWriter, req *http.Request) error {
	v, err := login.Read(w, req, login.Field{Name: "address", Trim: true})
	if err != nil {
		return err
	}
	address := v[0]
	if len(address) > maxAddress {
		return authn.FieldError("address", fmt.Sprintf("Ensure this field has no more than %d bytes.", maxAddress))
	}
	next, queue := ask{address: address}, r.queue
	if r.opts.Limiter != nil {
		// Counted as it was typed, but for its letters' case: what it means is not looked up.
		if _, err := r.opts.Limiter.Reserve(req, r.counted(address)); err != nil {
			if !throttled(err) {
				return err
			}
			// A caller that logged in before may have a link for that account all the same. Run
			// finds out at which: the answer tells nothing.
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
		// Strangers can fill the queue within their limits while messages are slow.
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

// ask is a request that waits.
type ask struct {
	address string
	known   func(context.Context, storage.User) bool // nil: the limits of strangers let it pass
}

func throttled(err error) bool {
	var e *authn.Error
	return errors.As(err, &e) && e.Status == http.StatusTooManyRequests
}

// counted is what an address counts as: equal ones of two account tables are two.
func (r *Recovery) counted(address string) string {
	kind := "password reset"
	if space := storage.SpaceOf(r.store); space != "" {
		kind += " " + space
	}
	return kind + "\x00" + strings.ToLower(address)
}

// Run looks up, makes tokens and delivers, until ctx is done; then it returns ctx's error,
// and what waits stays in the queue. The program runs it on a goroutine of its own, or on
// several. A panic of Find or Deliver is logged and ends that message alone. Requests of callers
// that logged in before come first, if strangers have used up their limits.
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

func (r *Recovery) work(ctx context.Context, next ask) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	subject := ""
	defer func() {
		if v := recover(); v != nil {
			r.failed(ctx, subject, fmt.Errorf("panic of type %T", v)) // its text may hold the link
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

// send makes a token for the account and delivers it. The last three stay good, so that strangers
// who request links do not spoil the one that the owner is about to use. While all three are
// fresh nothing is sent: the owner has them. A
// disabled account gets none, and neither does one without a usable password: it logs in by
// other means, and a link would open a door beside them.
func (r *Recovery) send(ctx context.Context, u storage.User) error {
	if !u.Active || u.Password == "" || strings.HasPrefix(string(u.Password), "!") {
		return nil
	}
	text, _ := format.New(rand.Reader) // never fails; see crypto/rand
	now := r.opts.Clock().UTC().Truncate(time.Microsecond)
	t := storage.OneTimeToken{
		Digest: storage.DigestOf(text), Subject: u.ID, Epoch: u.Epoch, Bound: boundTo(text, u.Email),
		Created: now, Expires: now.Add(r.opts.TTL),
	}
	err := r.store.InTx(ctx, func(ctx context.Context) error {
		list, err := r.store.ListOneTimes(ctx, u.ID)
		if err != nil {
			return err
		}
		if t.Purpose = r.free(list, u.Epoch, now); t.Purpose == "" {
			return nil
		}
		return r.store.CreateOneTimeToken(ctx, t)
	})
	if err == nil && t.Purpose == "" {
		cmp.Or(r.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelInfo, "recovery links still fresh", slog.String("subject", u.ID))
		return nil
	}
	if errors.Is(err, storage.ErrStale) { // disabled or deleted, or its password changed, in this moment
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.deliver(ctx, Message{User: u, Link: r.page + "#token=" + text, Token: text, Expires: t.Expires}); err != nil {
		return err
	}
	r.notify(ctx, audit.RecoverySent, u.ID)
	return nil
}

// free is the purpose of the next token: one that no good token has, or that of the oldest. "" if
// all are fresh.
func (r *Recovery) free(list []storage.OneTimeToken, epoch int64, now time.Time) string {
	oldest, created := "", now.Add(-min(fresh, r.opts.TTL/4))
	for _, purpose := range purposes {
		i := slices.IndexFunc(list, func(t storage.OneTimeToken) bool {
			return t.Purpose == purpose && t.Epoch == epoch && !over(t, now)
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

// over reports whether a token has expired, or comes from a clock that was ahead: such a token would
// stay valid, and keep others from being sent, until the clock has caught up.
func over(t storage.OneTimeToken, now time.Time) bool {
	return t.Expired(now) || storage.Ahead(now, t.Created)
}

// boundTo binds a token to the address that it is sent to.
func boundTo(text, email string) storage.Digest { return storage.DigestOf(text + "\x00" + email) }
