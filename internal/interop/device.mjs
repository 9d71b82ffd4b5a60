// An independent client, npm's openid-client, as a device without a browser, and with proofs of
// a key (DPoP), against a running server; it prints what it saw as JSON.
//
//   node device.mjs BASE
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { webcrypto } from "node:crypto"
import { visitor } from "./visitor.mjs"
globalThis.crypto ??= webcrypto
const client = await import(pathToFileURL(createRequire(process.cwd() + "/").resolve("openid-client")))

const base = process.argv[2]
const seen = {}
const fault = (error) => error.error ?? error.cause?.error ?? error.code ?? String(error)
const find = (id, auth) => client.discovery(new URL(base), id, undefined, auth, { execute: [client.allowInsecureRequests] }) // http, on this machine
const app = await find("demo-public", client.None())
const robot = await find("demo-confidential", client.ClientSecretBasic("demo-secret"))
const { browser, authorize } = visitor(base)
const profile = async (config, token, DPoP) => {
	const response = await client.fetchProtectedResource(config, token, new URL("/api/profile", base), "GET", undefined, undefined, { DPoP }).catch((error) => error.response ?? error)
	return [response.status, response.ok ? (await response.json()).username : response.headers?.get("www-authenticate")]
}

// The device shows a code; alice types it into the page, sees who asks, and answers.
const answer = async (shown, decision) => {
	let page = await browser(shown)
	if (page.location?.startsWith("/login")) {
		const next = new URL(page.location, base).searchParams.get("next")
		page = await browser("/login", { username: "alice", password: "wonderland-42", next })
		page = await browser(page.location)
	}
	const code = page.body.match(/name="user_code" value="([^"]+)"/)[1]
	page = await browser("/oauth2/device", { user_code: code.toLowerCase().replace("-", " ") })
	const handle = page.body.match(/name="handle" value="([^"]+)"/)[1]
	return [page.body.includes("Public demo"), (await browser("/oauth2/device", { handle, decision })).status]
}
const begun = await client.initiateDeviceAuthorization(app, { scope: "openid profile" })
seen.device = [begun.user_code.length, begun.verification_uri === base + "/oauth2/device", begun.interval, begun.expires_in > 60]
seen.allowed = await answer(begun.verification_uri_complete, "allow")
const tokens = await client.pollDeviceAuthorizationGrant(app, begun)
seen.device_tokens = [tokens.token_type, tokens.scope, tokens.claims().aud, tokens.claims().preferred_username]
seen.device_profile = await profile(app, tokens.access_token)
seen.device_again = await client.pollDeviceAuthorizationGrant(app, { ...begun, interval: 0 }).catch(fault)
const refused = await client.initiateDeviceAuthorization(app, { scope: "profile" })
await answer(refused.verification_uri_complete, "deny")
seen.denied = await client.pollDeviceAuthorizationGrant(app, { ...refused, interval: 0 }).catch(fault)

// With a key of its own.
const DPoP = client.getDPoPHandle(app, await client.randomDPoPKeyPair("ES256"))
const other = client.getDPoPHandle(app, await client.randomDPoPKeyPair("ES256"))
const checks = { pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState() }
const url = client.buildAuthorizationUrl(app, {
	redirect_uri: "http://127.0.0.1:49152/callback", scope: "profile", state: checks.expectedState, dpop_jkt: await DPoP.calculateThumbprint(),
	code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: "S256",
})
const bound = await client.authorizationCodeGrant(app, await authorize(url), checks, undefined, { DPoP })
seen.bound = [bound.token_type, ...(await profile(app, bound.access_token, DPoP))]
seen.bound_as_bearer = (await profile(app, bound.access_token))[0]
seen.bound_other_key = (await profile(app, bound.access_token, other))[0]
seen.bound_refresh_other_key = await client.refreshTokenGrant(app, bound.refresh_token, undefined, { DPoP: other }).catch(fault)
const renewed = await client.refreshTokenGrant(app, bound.refresh_token, undefined, { DPoP })
seen.bound_refresh = [renewed.token_type, (await profile(app, renewed.access_token, DPoP))[0]]
const robots = client.getDPoPHandle(robot, await client.randomDPoPKeyPair("ES256"))
const own = await client.clientCredentialsGrant(robot, { scope: "profile" }, { DPoP: robots })
seen.bound_client = [own.token_type, (await profile(robot, own.access_token, robots))[0]]
console.log(JSON.stringify(seen))
