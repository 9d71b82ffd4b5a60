package authn

import "context"

type subrequestKey struct{}

// WithSubrequest returns ctx for a gateway's request about another request (see package
// authn/proxy). The client never receives the headers of the response.
func WithSubrequest(ctx context.Context) context.Context {
	return context.WithValue(ctx, subrequestKey{}, true)
}

// IsSubrequest reports whether ctx comes from [WithSubrequest]. A scheme MUST NOT exchange a
// one-time credential for such a request: the gateway drops the cookie that replaces it, so its
// next use would look like theft.
func IsSubrequest(ctx context.Context) bool { return ctx.Value(subrequestKey{}) != nil }
