// Package interop holds tests against independent clients, which scripts/interop
// installs: npm's jose verifies our access tokens and makes tokens for us.
package interop
