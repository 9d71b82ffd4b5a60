package audit

import (
	"log/slog"
	"time"
)

// Event describes something that happened to a credential or an account. A scheme sets the fields
// that it knows, and [Notifier.Notify] sets the others. Fields that do not apply are empty.
type Event struct {
	// ID identifies the event. It is a UUID of version 7, so IDs sort by time. Notify sets it.
	ID string `json:"id"`
	// Time is when Notify was called, in UTC. Notify sets it.
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`
	// Outcome is the usual outcome of Kind, unless the scheme sets another.
	Outcome Outcome `json:"outcome"`
	// Reason is a code from a small set, such as "invalid_credentials" or "expired".
	Reason string `json:"reason,omitempty"`
	Scheme string `json:"scheme,omitempty"`
	// Subject is the account that the event is about.
	Subject string `json:"subject,omitempty"`
	// Actor is the account that caused the event, if it is not Subject, such as an administrator.
	// If the scheme does not set Actor, Notify takes it from the identity of the request.
	Actor string `json:"actor,omitempty"`
	// Client is the OAuth 2.0 client.
	Client string `json:"client,omitempty"`
	// Credential identifies a credential without revealing it. A scheme sets the record's public
	// identifier or its digest. Notify replaces it with 8 bytes of its HMAC in base64url, as
	// Notifier.Credential returns.
	Credential string `json:"credential,omitempty"`
	// Family is the token family.
	Family string `json:"family,omitempty"`
	// Session is the public ID of the session.
	Session string `json:"session,omitempty"`
	// Source is the client's network: the IPv4 /24 or IPv6 /48, or the whole address with
	// Options.WholeSource. Notify sets it.
	Source string `json:"source,omitempty"`
	// UserAgent is the client's User-Agent, at most 128 bytes without control characters. Notify
	// sets it.
	UserAgent string `json:"user_agent,omitempty"`
	// Replica is Options.Replica.
	Replica string `json:"replica,omitempty"`
	// RequestID and TraceID identify the request; see Options. Notify sets them.
	RequestID string `json:"request_id,omitempty"`
	TraceID   string `json:"trace_id,omitempty"`
	// Epoch is the account's epoch under which the credential was issued.
	Epoch int64 `json:"epoch,omitempty"`
	// Count is the number of credentials that the event concerns. Notify replaces 0 with 1.
	Count int `json:"count"`

	typed string // the name typed at a failed login
}

// ForName returns a copy of e with the name that was typed at a failed login. If Options.Keys is
// set, Notify puts the HMAC of the name into Credential. Otherwise Notify drops the name, because
// people sometimes type a password into the name field.
func (e Event) ForName(typed string) Event {
	e.typed = typed
	return e
}

// LogValue returns the non-empty fields as a group, with the same names as in JSON.
func (e Event) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 16)
	if !e.Time.IsZero() {
		attrs = append(attrs, slog.Time("time", e.Time))
	}
	for _, f := range [...]struct{ name, value string }{
		{"id", e.ID}, {"kind", string(e.Kind)}, {"outcome", string(e.Outcome)}, {"reason", e.Reason}, {"scheme", e.Scheme},
		{"subject", e.Subject}, {"actor", e.Actor}, {"client", e.Client}, {"credential", e.Credential}, {"family", e.Family},
		{"session", e.Session}, {"source", e.Source}, {"user_agent", e.UserAgent}, {"replica", e.Replica},
		{"request_id", e.RequestID}, {"trace_id", e.TraceID},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.name, f.value))
		}
	}
	if e.Epoch != 0 {
		attrs = append(attrs, slog.Int64("epoch", e.Epoch))
	}
	return slog.GroupValue(append(attrs, slog.Int("count", e.Count))...)
}
