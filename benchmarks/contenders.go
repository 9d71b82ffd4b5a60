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
	gate("jwt", "golang-jwt", modGolangJWT, "bare, knows no user", golangJWT)
	gate("jwt", "jwx", modJWX, "bare, knows no user", jwxParse)
	gate("jwt", "chi/jwtauth", modJWTAuth, "knows no user", chiJWTAuth)
	gate("jwt", "echo-jwt", modEchoJWT, "knows no user", echoJWT)
	gate("jwt", "gin-jwt", modGinJWT, "knows no user", ginJWT)
	gate("oauth2", "go-oauth2", modGoOAuth2, "its store in memory", goOAuth2Gate)
	gate("oauth2", "fosite", modFosite, "its store in memory", fositeGate)
	gate("session", "scs", modSCS, "its store in memory", scsGate)
	gate("session", "gorilla CookieStore", modGorilla, "all in the cookie", gorillaGate)

	work := func(kind Kind, scheme, name, module, note string, f func(*Env) (*Work, error)) {
		list = append(list, &Contender{Kind: kind, Scheme: scheme, Name: name, Module: module, Note: note, Work: f})
	}
	less := func(kind Kind, scheme, name, module, note string, f func(*Env) (*Work, error)) {
		work(kind, scheme, name, module, note, f)
		list[len(list)-1].Less = true
	}
	work(Authorize, "role", Floor, "", "two maps", roleFloor)
	work(Authorize, "role", Ours, "", "guard with HasRole", guardWork)
	work(Authorize, "role", "casbin", modCasbin, "decides about caller, path and method by a policy", casbinWork)
	work(Authorize, "role", "casbin, cached", modCasbin, "remembers its answers", casbinCached)

	work(Login, "token", Ours, "", "the same token each time", ourLogin(func(w *world) http.Handler { return w.tokens.Login(free{}) }))
	work(Login, "knox", Ours, "", "", ourLogin(func(w *world) http.Handler { return w.devices.Login(free{}) }))
	work(Login, "jwt", Ours, "", "access and refresh token, a family in the store", ourLogin(func(w *world) http.Handler { return w.jwts.Login(free{}) }))
	less(Login, "jwt", "golang-jwt", modGolangJWT, "signs, no endpoint, no refresh token", golangMint)
	less(Login, "jwt", "jwx", modJWX, "signs, no endpoint, no refresh token", jwxMint)
	less(Login, "jwt", "gin-jwt", modGinJWT, "no refresh token, keeps nothing", ginLogin)
	work(Login, "session", Ours, "", "reads account and epoch, keeps a list of the user's sessions", ourLogin(func(w *world) http.Handler { return w.browsers.Login(free{}) }))
	work(Login, "session", "scs", modSCS, "a map of values; no account, no list, the cookie in clear", scsLoginWork)
	work(Login, "session", "gorilla CookieStore", modGorilla, "all in the cookie: nothing can be revoked", gorillaLoginWork)
	work(Login, "oauth2", Ours, "", "client_credentials", inWorld(ourOAuthLogin))
	work(Login, "oauth2", "go-oauth2", modGoOAuth2, "client_credentials; secret and tokens in clear", goOAuth2Login)
	work(Login, "oauth2", "fosite", modFosite, "client_credentials, SHA-256 instead of bcrypt", fositeLogin)

	work(Refresh, "jwt", Ours, "", "rotates; reuse revokes the family, a lost answer can be repeated", inWorld(ourRefresh))
	less(Refresh, "jwt", "gin-jwt", modGinJWT, "signs a new access token; no refresh token, nothing can be used only once", ginRefresh)
	work(Refresh, "oauth2", Ours, "", "rotates; reuse revokes the grant, a lost answer can be repeated", inWorld(ourOAuthRefresh))
	work(Refresh, "oauth2", "go-oauth2", modGoOAuth2, "rotates; no family, reuse is not detected, tokens in clear", goOAuth2Refresh)
	work(Refresh, "oauth2", "fosite", modFosite, "rotates; reuse revokes the grant, and so does the repetition of a lost answer; SHA-256 instead of bcrypt", fositeRefresh)

	work(Revoke, "knox", Ours, "", "logout", inWorld(ourKnoxRevoke))
	work(Revoke, "jwt", Ours, "", "revokes the family and its access tokens", inWorld(ourJWTRevoke))
	work(Revoke, "session", Ours, "", "logout", inWorld(ourSessionRevoke))
	work(Revoke, "session", "scs", modSCS, "logout; does not check the origin of the request", scsRevoke)
	work(Revoke, "oauth2", Ours, "", "endpoint", inWorld(ourOAuthRevoke))
	less(Revoke, "oauth2", "go-oauth2", modGoOAuth2, "no endpoint and no client authentication: its method is called", goOAuth2Revoke)
	work(Revoke, "oauth2", "fosite", modFosite, "endpoint, SHA-256 instead of bcrypt", fositeRevoke)
	return list
}
