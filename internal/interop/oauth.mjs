// An independent OAuth client, npm's oauth4webapi, against a running server; it prints what
// it saw as JSON.
//
//   node oauth.mjs BASE
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { webcrypto } from "node:crypto"
globalThis.crypto ??= webcrypto
const oauth = await import(pathToFileURL(createRequire(process.cwd() + "/").resolve("oauth4webapi")))

const base = process.argv[2]
const plain = { [oauth.allowInsecureRequests]: true } // http, on this machine
const anyPort = "http://127.0.0.1:49152/callback"
const seen = {}

const issuer = new URL(base)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...plain }))
seen.issuer = as.issuer === base

// The browser: logs in, goes to a page without following it further, and answers the form.
let cookie = ""
const browser = async (url, form) => {
	const response = await fetch(new URL(url, base), {
		method: form ? "POST" : "GET", redirect: "manual", body: form && new URLSearchParams(form),
		headers: { Cookie: cookie, Origin: base, "Sec-Fetch-Site": "same-origin" },
	})
	for (const line of response.headers.getSetCookie?.() ?? [response.headers.get("set-cookie")].filter(Boolean)) cookie = line.split(";")[0]
	return { status: response.status, location: response.headers.get("location"), body: await response.text() }
}
const authorize = async (url, decision = "allow") => {
	let page = await browser(url)
	if (page.location?.startsWith("/login")) {
		const next = new URL(page.location, base).searchParams.get("next")
		page = await browser("/login", { username: "alice", password: "wonderland-42", next })
		page = await browser(page.location)
	}
	const handle = page.body.match(/name="handle" value="([^"]+)"/)[1]
	return new URL((await browser("/oauth2/authorize", { handle, decision })).location)
}

const codeFlow = async (client, clientAuth, redirect, push) => {
	const verifier = oauth.generateRandomCodeVerifier()
	const state = oauth.generateRandomState()
	const parameters = {
		client_id: client.client_id, redirect_uri: redirect, response_type: "code", scope: "profile notes:read", state,
		code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
	}
	const url = new URL(as.authorization_endpoint)
	if (push) {
		const pushed = await oauth.processPushedAuthorizationResponse(as, client, await oauth.pushedAuthorizationRequest(as, client, clientAuth, parameters, plain))
		url.search = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri })
	} else {
		url.search = new URLSearchParams(parameters)
	}
	const callback = oauth.validateAuthResponse(as, client, await authorize(url), state)
	const response = await oauth.authorizationCodeGrantRequest(as, client, clientAuth, callback, redirect, verifier, plain)
	return oauth.processAuthorizationCodeResponse(as, client, response)
}
const profile = async (token) => {
	const response = await oauth.protectedResourceRequest(token, "GET", new URL("/api/profile", base), undefined, undefined, plain).catch((error) => error.response ?? error)
	return [response.status, await response.text?.()]
}

const pub = { client_id: "demo-public" }
const tokens = await codeFlow(pub, oauth.None(), anyPort)
seen.code = [tokens.token_type, tokens.scope, tokens.expires_in]
seen.profile = await profile(tokens.access_token)
const refresh = async (token) => oauth.processRefreshTokenResponse(as, pub, await oauth.refreshTokenGrantRequest(as, pub, oauth.None(), token, plain))
const next = await refresh(tokens.refresh_token)
const again = await refresh(tokens.refresh_token)
seen.refresh = [next.refresh_token !== tokens.refresh_token, again.access_token === next.access_token]
await oauth.processRevocationResponse(await oauth.revocationRequest(as, pub, oauth.None(), next.access_token, plain))
seen.revoked = await profile(next.access_token)
seen.revoked_refresh = await refresh(next.refresh_token).catch((error) => error.error)

const conf = { client_id: "demo-confidential" }
const secret = oauth.ClientSecretBasic("demo-secret")
const pushed = await codeFlow(conf, secret, "http://127.0.0.1/callback", true)
seen.pushed = pushed.scope
const about = await oauth.processIntrospectionResponse(as, conf, await oauth.introspectionRequest(as, conf, secret, pushed.access_token, plain))
seen.introspection = [about.active, about.client_id, about.username, about.scope]
const own = await oauth.processClientCredentialsResponse(as, conf, await oauth.clientCredentialsGrantRequest(as, conf, secret, { scope: "profile" }, plain))
seen.client_credentials = [own.refresh_token === undefined, await profile(own.access_token)]
seen.wrong_secret = await oauth.processClientCredentialsResponse(as, conf, await oauth.clientCredentialsGrantRequest(as, conf, oauth.ClientSecretBasic("x"), {}, plain)).catch((error) => error.cause?.[0]?.scheme ?? error.error)

// The user refuses.
const url = new URL(as.authorization_endpoint)
url.search = new URLSearchParams({ client_id: "demo-public", redirect_uri: anyPort, response_type: "code", state: "s", code_challenge: await oauth.calculatePKCECodeChallenge("x".repeat(43)), code_challenge_method: "S256" })
const denied = await authorize(url, "deny")
try {
	oauth.validateAuthResponse(as, pub, denied, "s")
} catch (error) {
	seen.denied = error.error
}
console.log(JSON.stringify(seen))
