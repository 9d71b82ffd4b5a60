package authn

import "context"

type subrequestKey struct{}

// WithSubrequest returns ctx for a request of a gateway that asks about another one
// (package authn/proxy). The client never sees the headers of such an answer.
func WithSubrequest(ctx context.Context) context.Context {
	return context.WithValue(ctx, subrequestKey{}, true)
}

// IsSubrequest reports whether ctx is one of WithSubrequest. A scheme MUST NOT exchange a
// one-time credential then, because the gateway drops the cookie that replaces it: its next
// use would look like theft.
func IsSubrequest(ctx context.Context) bool { return ctx.Value(subrequestKey{}) != nil }
