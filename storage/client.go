package storage

import (
	"context"
	"net/netip"
)

// clientKey is the context key of the client address. Package authn sets the address under the same
// key: the type has no name, so it is identical in both packages, and neither imports the other.
type clientKey = struct{ VestibuleClientAddr struct{} }

// ClientAddr returns the address of the client on whose behalf a store is called, or the invalid
// Addr if it is unknown. The middleware of package authn sets it for each request (see
// authn.Options.Proxies). Use it for rate limits only, never to identify the caller.
func ClientAddr(ctx context.Context) netip.Addr {
	a, _ := ctx.Value(clientKey{}).(netip.Addr)
	return a
}

// WithClientAddr returns a context with the client's address. Use it for transports without the
// middleware of package authn.
func WithClientAddr(ctx context.Context, a netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, a)
}

// CreatedMicros returns Created in microseconds since 1970, as stores keep it; 0 for the zero time.
func (c *Client) CreatedMicros() int64 {
	if c.Created.IsZero() {
		return 0
	}
	return c.Created.UnixMicro()
}

// Epoch returns the version of the client. A signed access token of the client carries this version
// if it has no user. It is the later of Created and Revoked, in microseconds since 1970. Such a
// token is not stored. It is accepted only while the client has the same epoch, so deleting or
// disabling the client revokes it permanently.
func (c *Client) Epoch() int64 {
	if c.Revoked.IsZero() {
		return c.CreatedMicros()
	}
	return max(c.CreatedMicros(), c.Revoked.UnixMicro())
}
