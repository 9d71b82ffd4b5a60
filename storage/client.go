package storage

import (
	"context"
	"net/netip"
)

// clientKey is the key of the client's address in a context. Package authn gives the
// address under the same key: the type has no name, so it is the same type there, and
// neither package imports the other.
type clientKey = struct{ VestibuleClientAddr struct{} }

// ClientAddr returns the address of the client that a store works for, and the invalid
// Addr if it is not known. The middleware of package authn puts it into the context of
// each request (see authn.Options.Proxies). It is for limits, never for decisions about
// who the caller is.
func ClientAddr(ctx context.Context) netip.Addr {
	a, _ := ctx.Value(clientKey{}).(netip.Addr)
	return a
}

// WithClientAddr returns a context with the client's address, for transports other than
// the middleware of package authn.
func WithClientAddr(ctx context.Context, a netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, a)
}

// CreatedMicros returns Created in microseconds since 1970, 0 for the zero time, as stores keep it.
func (c *Client) CreatedMicros() int64 {
	if c.Created.IsZero() {
		return 0
	}
	return c.Created.UnixMicro()
}

// Epoch is the version of the client in the signed access tokens that it has for itself: Created, or
// Revoked if that is later, in microseconds since 1970. Nothing is stored of such a token. It is accepted
// only while the client has the same epoch, so it ends when the client is deleted or disabled, for good.
func (c *Client) Epoch() int64 {
	if c.Revoked.IsZero() {
		return c.CreatedMicros()
	}
	return max(c.CreatedMicros(), c.Revoked.UnixMicro())
}
