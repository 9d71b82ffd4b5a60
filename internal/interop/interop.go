// Package interop holds tests against independent clients, which scripts/interop
// installs: npm's jose verifies our access tokens and makes tokens for us, oauth4webapi and
// openid-client log in, oidc-provider is a foreign issuer, Chromium walks the pages.
package interop
