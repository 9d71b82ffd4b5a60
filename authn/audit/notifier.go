package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options change a Notifier; nil is fine.
type Options struct {
	// Keys make the HMACs of Event.Credential. Without them it is a plain SHA-256, which
	// identifies a credential equally well; names typed at failed logins are left out then.
	// While a key is being replaced, events carry the newest key's HMAC.
	Keys *keys.Ring
	// Replica names this process, at most 64 bytes.
	Replica string
	// Proxies are trusted to report the client's address. They matter only for requests that
	// no middleware of package authn has seen; see authn.Options.Proxies.
	Proxies authn.TrustedProxies
	// WholeSource records the client's whole address in Event.Source. Check that you may: it is
	// personal data.
	WholeSource bool
	// RequestID and TraceID return those of the request, from the context that the scheme was
	// called with. A nil TraceID takes the one of the header Traceparent (W3C Trace Context), a
	// nil RequestID none.
	RequestID, TraceID func(context.Context) string
	// Logger receives panics of the function, at Error; slog.Default() if nil.
	Logger *slog.Logger
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// maxText is the longest user agent, and maxName the longest replica, request or trace ID.
const (
	maxText = 128
	maxName = 64
)

// Notifier completes events and passes them to one function. A nil *Notifier drops them, so a
// scheme calls it without a check. It is safe for concurrent use.
type Notifier struct {
	hook  func(context.Context, Event)
	opts  Options
	key   keys.Key
	keyed bool
}

// New returns a Notifier that passes every event to hook. hook is called concurrently and
// delays the request until it returns. New returns an error without a hook and for a Replica
// that is too long.
func New(hook func(context.Context, Event), opts *Options) (*Notifier, error) {
	if hook == nil {
		return nil, errors.New("audit: New: no hook")
	}
	n := To(hook)
	if opts != nil {
		n.opts = *opts
	}
	if len(n.opts.Replica) > maxName {
		return nil, fmt.Errorf("audit: New: Replica has %d bytes (at most %d)", len(n.opts.Replica), maxName)
	}
	if n.opts.Clock == nil {
		n.opts.Clock = time.Now
	}
	if n.opts.Keys != nil {
		_, n.key = n.opts.Keys.Newest(keys.AuditHashes)
		n.keyed = true
	}
	return n, nil
}

// To is New with default options, for tests and short programs: it cannot fail. A nil hook
// gives a nil Notifier.
func To(hook func(context.Context, Event)) *Notifier {
	if hook == nil {
		return nil
	}
	return &Notifier{hook: hook, opts: Options{Clock: time.Now}}
}

type requestKey struct{}

// Context returns the request's context with the request in it, so that events have its user
// agent and its trace ID. Endpoints of a scheme use it in place of r.Context(); so can your
// own handlers when they call methods such as Issue and Revoke.
func Context(r *http.Request) context.Context {
	return context.WithValue(r.Context(), requestKey{}, r)
}

// Notify completes e and passes it to the function. See [Event] for the fields that a scheme
// sets. If the function panics, the panic is logged without its text, and Notify returns.
func (n *Notifier) Notify(ctx context.Context, e Event) {
	if n == nil || authn.Explained(ctx) {
		return
	}
	e.Time = n.opts.Clock().UTC()
	e.ID = newID(e.Time)
	if e.Outcome == "" {
		e.Outcome = outcomeOf(e.Kind)
	}
	if e.Count == 0 {
		e.Count = 1
	}
	switch {
	case e.Credential != "":
		e.Credential = n.Credential(e.Credential)
	case e.typed != "" && n.keyed:
		e.Credential = n.mac("login name", e.typed)
	}
	e.typed = ""
	if id := authn.Peek(ctx); e.Actor == "" && id != nil && id.Issuer == "" && id.Subject != e.Subject {
		e.Actor = id.Subject
	}
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	e.Replica = n.opts.Replica
	e.Source = n.source(ctx, r)
	e.RequestID, e.TraceID = "", ""
	if n.opts.RequestID != nil {
		e.RequestID = credential.Printable(n.opts.RequestID(ctx), maxName)
	}
	if n.opts.TraceID != nil {
		e.TraceID = credential.Printable(n.opts.TraceID(ctx), maxName)
	} else if r != nil {
		e.TraceID = traceOf(r.Header.Get("Traceparent"))
	}
	if r != nil {
		e.UserAgent = credential.Printable(r.Header.Get("User-Agent"), maxText)
	}
	Notify(ctx, n.opts.Logger, e.Scheme, n.hook, e)
}

// Credential returns what Event.Credential is for a record with that public identifier, so
// that you can find the events of a credential that you know.
func (n *Notifier) Credential(id string) string { return n.mac("credential", id) }

func (n *Notifier) mac(label, text string) string {
	var sum [sha256.Size]byte
	if n != nil && n.keyed {
		sum = credential.MAC(n.key, label, text)
	} else {
		sum = sha256.Sum256([]byte("vestibule/v1 audit " + label + "\x00" + text))
	}
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// source is the network of the client.
func (n *Notifier) source(ctx context.Context, r *http.Request) string {
	a := storage.ClientAddr(ctx)
	if !a.IsValid() && r != nil {
		a = n.opts.Proxies.ClientAddr(r)
	}
	return sourceOf(a, n.opts.WholeSource)
}

func sourceOf(a netip.Addr, whole bool) string {
	switch {
	case !a.IsValid():
		return ""
	case whole:
		return network.Plain(a).String()
	}
	return network.Net.Name(a)
}

// traceOf returns the trace ID of a Traceparent: version, 32 hexadecimal digits, parent, flags.
func traceOf(header string) string {
	parts := strings.Split(header, "-")
	if len(header) > 256 || len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || len(parts[1]) != 32 || parts[1] == strings.Repeat("0", 32) {
		return ""
	}
	for _, c := range []byte(parts[1]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return parts[1]
}

// newID returns a UUID of version 7 (RFC 9562, section 5.7).
func newID(t time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[6:]) // never fails; see crypto/rand
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(t.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// LogReuse logs, at Warn, that a one-time token was used twice: one of its two holders may be a
// thief. It logs whether or not anyone receives events. A nil log is slog.Default().
func LogReuse(ctx context.Context, log *slog.Logger, e Event) {
	if log == nil {
		log = slog.Default()
	}
	log.LogAttrs(ctx, slog.LevelWarn, "token reuse detected", slog.String("scheme", e.Scheme), slog.String("kind", string(e.Kind)),
		slog.String("client", e.Client), slog.String("subject", e.Subject), slog.String("family", e.Family))
}
