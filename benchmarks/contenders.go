package benchmarks

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/schemes/knox"
)

var knoxToken = knox.Token{}

// Modules of the peers, for their versions.
const (
	modGolangJWT = "github.com/golang-jwt/jwt/v5"
	modJWX       = "github.com/lestrrat-go/jwx/v3"
	modJWTAuth   = "github.com/go-chi/jwtauth/v5"
	modEchoJWT   = "github.com/labstack/echo-jwt/v4"
	modGinJWT    = "github.com/appleboy/gin-jwt/v2"
	modSCS       = "github.com/alexedwards/scs/v2"
	modGorilla   = "github.com/gorilla/sessions"
	modGoOAuth2  = "github.com/go-oauth2/oauth2/v4"
	modFosite    = "github.com/ory/fosite"
	modCasbin    = "github.com/casbin/casbin/v3"
)

// Schemes are those of ours that are measured, in the order of the tables.
var Schemes = []string{"token", "knox", "jwt", "oauth2", "session", "basic"}

// Contenders are all there are. A new one is a line here and a function.
func Contenders() []*Contender {
	var list []*Contender
	for _, s := range Schemes {
		list = append(list, &Contender{Kind: Authenticate, Scheme: s, Name: Floor, Gate: floorGate(s), Cached: true, Note: "digest, map, context value"})
		if s == "jwt" {
			list = append(list, &Contender{Kind: Authenticate, Scheme: s, Name: "floor, verifying", Gate: signedGate, Note: "HMAC, a struct, context value"})
		}
		if s != "basic" { // each request would be a password hash
			list = append(list,
				&Contender{Kind: Authenticate, Scheme: s, Name: Ours, Gate: worldGate(s, inMemory, false)},
				&Contender{Kind: Authenticate, Scheme: s, Name: OursSQLite, Gate: worldGate(s, onSQLite, false)})
		}
		list = append(list, &Contender{Kind: Authenticate, Scheme: s, Name: OursCached, Cached: true, Gate: worldGate(s, onSQLite, true), Note: "in front of SQLite"})
	}
	gate := func(scheme, name, module, note string, g func(*Env, Seen) (*Gate, error)) {
		list = append(list, &Contender{Kind: Authenticate, Scheme: scheme, Name: name, Module: module, Note: note, Gate: g})
	}
	gate("jwt", "golang-jwt", modGolangJWT, "parser without middleware, does not look up a user", golangJWT)
	gate("jwt", "jwx", modJWX, "parser without middleware, does not look up a user", jwxParse)
	gate("jwt", "chi/jwtauth", modJWTAuth, "does not look up a user", chiJWTAuth)
	gate("jwt", "echo-jwt", modEchoJWT, "does not look up a user", echoJWT)
	gate("jwt", "gin-jwt", modGinJWT, "does not look up a user", ginJWT)
	gate("oauth2", "go-oauth2", modGoOAuth2, "its store in memory", goOAuth2Gate)
	gate("oauth2", "fosite", modFosite, "its store in memory", fositeGate)
	gate("session", "scs", modSCS, "its store in memory", scsGate)
	gate("session", "gorilla CookieStore", modGorilla, "all data is in the cookie", gorillaGate)

	work := func(kind Kind, scheme, name, module, note string, f func(*Env) (*Work, error)) {
		list = append(list, &Contender{Kind: kind, Scheme: scheme, Name: name, Module: module, Note: note, Work: f})
	}
	less := func(kind Kind, scheme, name, module, note string, f func(*Env) (*Work, error)) {
		work(kind, scheme, name, module, note, f)
		list[len(list)-1].Less = true
	}
	work(Authorize, "role", Floor, "", "two maps", roleFloor)
	work(Authorize, "role", Ours, "", "guard with HasRole", guardWork)
	work(Authorize, "role", "casbin", modCasbin, "applies a policy to caller, path and method", casbinWork)
	work(Authorize, "role", "casbin, cached", modCasbin, "caches its decisions", casbinCached)

	work(Login, "token", Ours, "", "returns the same token each time", ourLogin(func(w *world) http.Handler { return w.tokens.Login(free{}) }))
	work(Login, "knox", Ours, "", "", ourLogin(func(w *world) http.Handler { return w.devices.Login(free{}) }))
	work(Login, "jwt", Ours, "", "access and refresh token, stores a family", ourLogin(func(w *world) http.Handler { return w.jwts.Login(free{}) }))
	less(Login, "jwt", "golang-jwt", modGolangJWT, "only signs: no endpoint, no refresh token", golangMint)
	less(Login, "jwt", "jwx", modJWX, "only signs: no endpoint, no refresh token", jwxMint)
	less(Login, "jwt", "gin-jwt", modGinJWT, "no refresh token, stores nothing", ginLogin)
	work(Login, "session", Ours, "", "reads account and epoch, keeps a list of the user's sessions", ourLogin(func(w *world) http.Handler { return w.browsers.Login(free{}) }))
	work(Login, "session", "scs", modSCS, "stores a map of values: no account, no list, the cookie in cleartext", scsLoginWork)
	work(Login, "session", "gorilla CookieStore", modGorilla, "all data is in the cookie, so nothing can be revoked", gorillaLoginWork)
	work(Login, "oauth2", Ours, "", "client_credentials", inWorld(ourOAuthLogin))
	work(Login, "oauth2", "go-oauth2", modGoOAuth2, "client_credentials; stores secret and tokens in cleartext", goOAuth2Login)
	work(Login, "oauth2", "fosite", modFosite, "client_credentials, SHA-256 instead of bcrypt", fositeLogin)

	work(Refresh, "jwt", Ours, "", "rotates; reuse revokes the family; the client can repeat a request whose answer was lost", inWorld(ourRefresh))
	less(Refresh, "jwt", "gin-jwt", modGinJWT, "signs a new access token; no refresh token, no one-time use", ginRefresh)
	work(Refresh, "oauth2", Ours, "", "rotates; reuse revokes the grant; the client can repeat a request whose answer was lost", inWorld(ourOAuthRefresh))
	work(Refresh, "oauth2", "go-oauth2", modGoOAuth2, "rotates; no family, does not detect reuse, stores tokens in cleartext", goOAuth2Refresh)
	work(Refresh, "oauth2", "fosite", modFosite, "rotates; reuse revokes the grant, even if the client only repeats a request whose answer was lost; SHA-256 instead of bcrypt", fositeRefresh)

	work(Revoke, "knox", Ours, "", "logout", inWorld(ourKnoxRevoke))
	work(Revoke, "jwt", Ours, "", "revokes the family and its access tokens", inWorld(ourJWTRevoke))
	work(Revoke, "session", Ours, "", "logout", inWorld(ourSessionRevoke))
	work(Revoke, "session", "scs", modSCS, "logout; does not check the origin of the request", scsRevoke)
	work(Revoke, "oauth2", Ours, "", "endpoint", inWorld(ourOAuthRevoke))
	less(Revoke, "oauth2", "go-oauth2", modGoOAuth2, "no endpoint and no client authentication; its method is called directly", goOAuth2Revoke)
	work(Revoke, "oauth2", "fosite", modFosite, "endpoint, SHA-256 instead of bcrypt", fositeRevoke)
	return list
}
