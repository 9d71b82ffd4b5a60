// Package openid makes an authorization server an OpenID Provider (OpenID Connect Core 1.0). Other
// applications can log in your users and learn who they are.
//
// Import it if clients use your server for "log in with …". Call [New] after you created the
// server:
//
//	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
//	id, err := openid.New(srv, &openid.Options{Sessions: sessions, EndSession: browsers.EndCurrent})
//
// New adds ID tokens, UserInfo, logout (RP-Initiated Logout 1.0) and the metadata of OpenID Connect
// Discovery 1.0 to the server. To receive logout messages from another provider use package
// backchannel.
//
// Limits: subjects are public; request objects and the claims parameter are not supported; logout
// does not notify other clients.
package openid
