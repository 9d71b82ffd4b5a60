package authn

import "context"

type subrequestKey struct{}

// WithSubrequest returns ctx for a gateway's request about another request (see package
// authn/proxy). The client never receives the headers of the response.
func WithSubrequest(ctx context.Context) context.Context {
	return context.WithValue(ctx, subrequestKey{}, true)
}

// IsSubrequest reports whether ctx comes from [WithSubrequest]. A scheme MUST NOT exchange a
// one-time credential for such a request. The gateway drops the new cookie, so the client would
// send the old credential again, which would look like theft.
func IsSubrequest(ctx context.Context) bool { return ctx.Value(subrequestKey{}) != nil }
