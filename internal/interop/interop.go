// Package interop holds tests against independent clients, which scripts/interop
// installs: npm's jose verifies our access tokens and makes tokens for us, oauth4webapi,
// openid-client and zitadel's libraries log in, so do the gateways oauth2-proxy and
// mod_auth_openidc, oidc-provider is a foreign issuer, Chromium walks the pages. Clients of
// examples/mcp are in the tests of that module.
package interop
