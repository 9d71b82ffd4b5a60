// An independent OpenID Connect client, npm's openid-client, against a running server; it
// prints what it saw as JSON.
//
//   node openid.mjs BASE
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { webcrypto } from "node:crypto"
import { visitor } from "./visitor.mjs"
globalThis.crypto ??= webcrypto
const client = await import(pathToFileURL(createRequire(process.cwd() + "/").resolve("openid-client")))

const base = process.argv[2]
const seen = {}
const fault = (error) => error.error ?? error.cause?.error ?? error.code ?? String(error)
const find = (id, auth, algorithm = "oidc") => client.discovery(new URL(base), id, undefined, auth, { algorithm, execute: [client.allowInsecureRequests] }) // http, on this machine
const app = await find("demo-public", client.None())
const robot = await find("demo-confidential", client.ClientSecretBasic("demo-secret"))
const { supportsPKCE } = app.serverMetadata()
seen.discovery = [app.serverMetadata().issuer === base, supportsPKCE("S256"), (await find("demo-public", client.None(), "oauth2")).serverMetadata().issuer === base]

const { browser, authorize } = visitor(base)
const login = async (config, redirect, push, more = {}) => {
	const checks = { pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true }
	const parameters = {
		redirect_uri: redirect, scope: "openid profile email notes:read", state: checks.expectedState, nonce: checks.expectedNonce,
		code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: "S256", ...more,
	}
	const url = push ? await client.buildAuthorizationUrlWithPAR(config, parameters) : client.buildAuthorizationUrl(config, parameters)
	const answer = await authorize(url)
	return { answer, checks, finish: (at = answer, expect = checks) => client.authorizationCodeGrant(config, at, expect) }
}
const profile = async (config, token) => {
	const response = await client.fetchProtectedResource(config, token, new URL("/api/profile", base), "GET").catch((error) => error.response ?? error)
	return [response.status, response.ok ? (await response.json()).username : response.headers?.get("www-authenticate")]
}
const anyPort = "http://127.0.0.1:49152/callback"

const first = await login(app, anyPort)
const tokens = await first.finish()
const claims = tokens.claims()
seen.id_token = [claims.iss === base, claims.aud, claims.nonce === first.checks.expectedNonce, claims.exp > claims.iat, claims.preferred_username, claims.email]
seen.code = [tokens.token_type, tokens.scope, tokens.expires_in]
seen.profile = await profile(app, tokens.access_token)
seen.userinfo = await client.fetchUserInfo(app, tokens.access_token, claims.sub).then((u) => [u.sub === claims.sub, u.preferred_username, u.email])
seen.code_again = await first.finish().catch(fault)
seen.after_code_again = await profile(app, tokens.access_token)

// The answer of another server, of another login, and for another nonce.
const second = await login(app, anyPort, false, { prompt: "consent" })
const evil = new URL(second.answer)
evil.searchParams.set("iss", "https://evil.example")
seen.another_issuer = await second.finish(evil).then(() => "taken", () => "refused")
seen.another_state = await second.finish(second.answer, { ...second.checks, expectedState: "x" }).then(() => "taken", () => "refused")
seen.another_nonce = await second.finish(second.answer, { ...second.checks, expectedNonce: "x" }).then(() => "taken", () => "refused")

const third = await (await login(app, anyPort)).finish()
const renewed = await client.refreshTokenGrant(app, third.refresh_token)
seen.refresh = [renewed.access_token !== third.access_token, renewed.refresh_token !== third.refresh_token, renewed.claims() === undefined || renewed.claims().sub === claims.sub]
const narrowed = await client.refreshTokenGrant(app, renewed.refresh_token, { scope: "profile" })
seen.narrowed = narrowed.scope
seen.widened = await client.refreshTokenGrant(app, narrowed.refresh_token, { scope: "profile notes:write" }).catch(fault)
await client.tokenRevocation(app, renewed.access_token)
seen.revoked = await profile(app, renewed.access_token)
seen.revoked_refresh = await client.refreshTokenGrant(app, renewed.refresh_token).catch(fault)

const pushed = await (await login(robot, "http://127.0.0.1/callback", true)).finish()
seen.pushed = [pushed.scope, pushed.claims().aud]
const about = await client.tokenIntrospection(robot, pushed.access_token)
seen.introspection = [about.active, about.client_id, about.username, about.token_type, about.iss === base]
seen.foreign_introspection = await client.tokenIntrospection(robot, third.access_token).then((answer) => Object.keys(answer).join() + answer.active)
const own = await client.clientCredentialsGrant(robot, { scope: "profile" })
seen.client_credentials = [own.refresh_token === undefined, own.scope, (await profile(robot, own.access_token))[1]]
seen.wrong_secret = await client.clientCredentialsGrant(await find("demo-confidential", client.ClientSecretBasic("x"))).then(() => "taken", (error) => error.status ?? fault(error))

// The user logs out by the client, and is asked to log in again.
const logout = client.buildEndSessionUrl(robot, { post_logout_redirect_uri: "http://127.0.0.1/", id_token_hint: pushed.id_token, state: "gone" })
seen.logout = (await browser(logout)).location
seen.after_logout = (await browser(client.buildAuthorizationUrl(app, { redirect_uri: anyPort, scope: "openid", prompt: "none", state: "s", code_challenge: "A".repeat(43), code_challenge_method: "S256" }))).location?.match(/error=(\w+)/)?.[1]
console.log(JSON.stringify(seen))
