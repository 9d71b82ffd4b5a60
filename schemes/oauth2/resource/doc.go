// Package resource publishes the protected resource metadata of an API (RFC 9728): which
// authorization servers issue tokens for it, and which scopes it has. Model Context Protocol clients
// require it.
//
// Import it in any API, whoever issues its tokens. Publish the document, and name it in the
// challenges of the schemes that accept the tokens:
//
//	api, err := resource.New("https://api.example/mcp", []string{"https://login.example"},
//		&resource.Options{Scopes: []string{"notes:read"}})
//	tokens, err := jwt.NewVerifier("https://login.example", api.Resource(), keys,
//		&jwt.VerifierOptions{ResourceMetadata: api.URL()})
//	mux.Public(api.Path(), api)
//
// introspect.Options and oauth2.Options have the same option.
//
// Limits: the document only informs clients and protects nothing. The schemes decide which issuers
// and audiences are accepted, and the guards decide which scopes. Signed metadata is not supported.
package resource
