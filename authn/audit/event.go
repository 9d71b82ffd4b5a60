package audit

import (
	"log/slog"
	"time"
)

// Event is something that happened to a credential or an account, after it happened. A scheme
// sets what it knows; [Notifier.Notify] adds the rest. Fields that do not apply are empty.
type Event struct {
	// ID identifies the event: a UUID of version 7, so IDs sort by time. Set by Notify.
	ID string `json:"id"`
	// Time is in UTC. Set by Notify.
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`
	// Outcome is that of Kind unless the scheme sets another one.
	Outcome Outcome `json:"outcome"`
	// Reason is a code of few values, such as "invalid_credentials" or "expired".
	Reason string `json:"reason,omitempty"`
	Scheme string `json:"scheme,omitempty"`
	// Subject is the account that the event is about.
	Subject string `json:"subject,omitempty"`
	// Actor is the account that caused it, if it is not Subject, such as an administrator.
	// Notify takes it from the identity of the request unless it is set.
	Actor string `json:"actor,omitempty"`
	// Client is the OAuth 2.0 client.
	Client string `json:"client,omitempty"`
	// Credential names a credential without revealing anything about it. A scheme sets the
	// record's public identifier or its digest; the function that receives the event gets 8
	// bytes of its HMAC in base64url, as Notifier.Credential returns.
	Credential string `json:"credential,omitempty"`
	// Family is the token family.
	Family string `json:"family,omitempty"`
	// Session is the public ID of the session.
	Session string `json:"session,omitempty"`
	// Source is the client's network: the IPv4 /24 or IPv6 /48, or the whole address with
	// Options.WholeSource. Set by Notify.
	Source string `json:"source,omitempty"`
	// UserAgent is the client's, at most 128 bytes, without control characters. Set by Notify.
	UserAgent string `json:"user_agent,omitempty"`
	// Replica is Options.Replica.
	Replica string `json:"replica,omitempty"`
	// RequestID and TraceID identify the request. Set by Notify, see Options.
	RequestID string `json:"request_id,omitempty"`
	TraceID   string `json:"trace_id,omitempty"`
	// Epoch is the account's epoch that the credential was issued under.
	Epoch int64 `json:"epoch,omitempty"`
	// Count is the number of credentials that the event is about; 1 if a scheme leaves it 0.
	Count int `json:"count"`

	typed string // the name of a failed login
}

// ForName returns e with the name that was typed at a failed login. The function that receives
// the event gets its HMAC in Credential if Options.Keys is set, and nothing otherwise: people
// type passwords into the wrong field.
func (e Event) ForName(typed string) Event {
	e.typed = typed
	return e
}

// LogValue returns the fields that are not empty as a group, by the names that JSON has.
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
