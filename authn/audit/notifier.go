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
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options configure a [Notifier]. A nil *Options means all defaults.
type Options struct {
	// Keys is the master key ring for the HMACs in Event.Credential, with the newest key. If nil,
	// Event.Credential is a plain SHA-256, which identifies a credential equally well, and names
	// typed at failed logins are dropped.
	Keys *keys.Ring
	// Replica names this process in events, at most 64 bytes.
	Replica string
	// Proxies are trusted to report the client's address. They are used only for requests that did
	// not pass through a middleware of package authn; see authn.Options.Proxies.
	Proxies authn.TrustedProxies
	// WholeSource records the client's whole address in Event.Source. Check first whether you may
	// store it, because it is personal data.
	WholeSource bool
	// RequestID and TraceID return the IDs of the request from the context that the scheme was
	// called with. If RequestID is nil, events have no request ID. If TraceID is nil, the trace ID
	// is taken from the header Traceparent (W3C Trace Context).
	RequestID, TraceID func(context.Context) string
	// Required stores the events of changes, such as issued and revoked credentials, in the transaction
	// of the change, in the table vestibule_audit; see [Notifier.Change]. If an event cannot be stored,
	// the change fails with 503. The stores of all schemes must then implement storage.AuditLog and
	// storage.Transactor; otherwise the constructors of the schemes return an error. Events that change
	// nothing, such as failed logins, go to the function of New only.
	Required bool
	// Sink receives the kind of each event, for metrics. Nil means none.
	Sink *observe.Sink
	// Logger receives panics of the function, at Error; nil means slog.Default().
	Logger *slog.Logger
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
}

// Maximum length in bytes of a user agent (maxText), and of a replica, request or trace ID
// (maxName).
const (
	maxText = 128
	maxName = 64
)

// Notifier completes events and passes them to one function. A nil *Notifier drops them, so schemes
// call it without a check. It is safe for concurrent use.
type Notifier struct {
	hook  func(context.Context, Event)
	opts  Options
	key   keys.Key
	keyed bool
}

// New returns a Notifier that passes every event to hook. hook is called concurrently, and the
// request waits until it returns. New returns an error if hook is nil or Options.Replica is longer
// than 64 bytes.
func New(hook func(context.Context, Event), opts *Options) (*Notifier, error) {
	if hook == nil {
		return nil, errors.New("audit: New: the hook is nil")
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

// To is [New] with default options and without an error, for tests and short programs. If hook is
// nil, it returns a nil Notifier.
func To(hook func(context.Context, Event)) *Notifier {
	if hook == nil {
		return nil
	}
	return &Notifier{hook: hook, opts: Options{Clock: time.Now}}
}

type requestKey struct{}

// Context returns r.Context() with r in it, so that events have the user agent and the trace ID.
// Endpoints of schemes use it instead of r.Context(). Use it in your own handlers when you call
// methods such as Issue and Revoke.
func Context(r *http.Request) context.Context {
	return context.WithValue(r.Context(), requestKey{}, r)
}

// Notify completes e and passes it to the function; see [Event] for the fields that a scheme sets.
// If the function panics, Notify logs the type of the panic value and returns. Notify drops events
// of a dry run (see authn.Middleware.Explain).
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
		e.UserAgent = strings.Clone(credential.Printable(r.Header.Get("User-Agent"), maxText)) // not a part of a long header
	}
	if held, ok := ctx.Value(collectorKey{n}).(*collector); ok {
		held.events = append(held.events, e)
		return
	}
	n.deliver(ctx, e)
}

// deliver passes a complete event to the function.
func (n *Notifier) deliver(ctx context.Context, e Event) {
	if s := n.opts.Sink; s != nil && s.Audit != nil {
		s.Audit(string(e.Kind), false)
	}
	Notify(ctx, n.opts.Logger, e.Scheme, n.hook, e)
}

// Credential returns the value of Event.Credential for a record with that public identifier. Use it
// to find the events of a credential.
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

// source returns the network of the client.
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

// traceOf returns the trace ID of a Traceparent header: version, 32 hexadecimal digits, parent,
// flags. It returns "" if the header is malformed.
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
	return strings.Clone(parts[1])
}

// newID returns a UUID of version 7 (RFC 9562, section 5.7).
func newID(t time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[6:]) // cannot fail; see crypto/rand
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(t.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// LogReuse logs at Warn that a one-time token was used twice, which means that it may be stolen.
// Schemes call it even if no function receives events. A nil log means slog.Default().
func LogReuse(ctx context.Context, log *slog.Logger, e Event) {
	if log == nil {
		log = slog.Default()
	}
	log.LogAttrs(ctx, slog.LevelWarn, "token reuse detected", slog.String("scheme", e.Scheme), slog.String("kind", string(e.Kind)),
		slog.String("client", e.Client), slog.String("subject", e.Subject), slog.String("family", e.Family))
}
