package authn

// Middleware is written next.
type Middleware struct{}
