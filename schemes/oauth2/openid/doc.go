// Package openid makes an authorization server an OpenID Provider (OpenID Connect Core 1.0):
// applications of others can log your users in, and learn who they are.
//
// Import it if clients use your server for "log in with …". Construct it after the server:
//
//	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
//	id, err := openid.New(srv, &openid.Options{Sessions: sessions, EndSession: browsers.EndCurrent})
//
// New adds ID tokens, UserInfo, logout (RP-Initiated Logout 1.0) and the members of OpenID Connect
// Discovery 1.0 to the server. To receive logout messages of somebody else's provider use package
// backchannel.
//
// Limits: subjects are public; there are no request objects and no claims parameter; logout does
// not notify other clients.
package openid
