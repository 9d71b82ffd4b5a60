// A foreign issuer, npm's oidc-provider, on this machine: it prints its tokens as JSON, on one
// line, and serves until its input ends.
//
//   node provider.mjs
import { createRequire } from "node:module"
import { createServer } from "node:http"
import { pathToFileURL } from "node:url"
import { webcrypto } from "node:crypto"
globalThis.crypto ??= webcrypto
const load = (name) => import(pathToFileURL(createRequire(process.cwd() + "/").resolve(name)))
const { default: Provider } = await load("oidc-provider")
const { exportJWK, generateKeyPair } = await load("jose")

console.info = console.warn // what it says of demo settings is no result

const server = createServer()
await new Promise((done) => server.listen(0, "127.0.0.1", done))
const issuer = `http://127.0.0.1:${server.address().port}`
const { privateKey } = await generateKeyPair("ES256", { extractable: true })
const callback = "https://phone.example/callback"
const secrets = { client_secret: "a secret: 100%", token_endpoint_auth_method: "client_secret_basic", id_token_signed_response_alg: "ES256" }
const provider = new Provider(issuer, {
	jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: "ES256", use: "sig", kid: "one" }] },
	clients: [
		{ client_id: "robot", ...secrets, grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
		{ client_id: "api", ...secrets, grant_types: [], redirect_uris: [], response_types: [] },
		{ client_id: "phone", ...secrets, grant_types: ["authorization_code", "refresh_token"], redirect_uris: [callback] },
	],
	findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
	scopes: ["openid", "offline_access", "read", "write"],
	features: {
		clientCredentials: { enabled: true }, introspection: { enabled: true }, revocation: { enabled: true },
		resourceIndicators: {
			enabled: true,
			// Tokens for hosts that begin with jwt are signed, others opaque.
			getResourceServerInfo: (_, resource) => ({
				scope: "read write", audience: resource, accessTokenTTL: 3600,
				accessTokenFormat: resource.startsWith("https://jwt.") ? "jwt" : "opaque", jwt: { sign: { alg: "ES256" } },
			}),
		},
	},
})
server.on("request", provider.callback())

const config = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
const basic = (id) => "Basic " + Buffer.from(`${id}:${encodeURIComponent(secrets.client_secret)}`).toString("base64")
const post = async (url, client, form) => {
	const response = await fetch(url, { method: "POST", headers: { Authorization: basic(client) }, body: new URLSearchParams(form) })
	const text = await response.text()
	if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`)
	return text && JSON.parse(text)
}
const own = async (resource) => (await post(config.token_endpoint, "robot", { grant_type: "client_credentials", scope: "read", ...(resource && { resource }) })).access_token

// The user logs in and consents in the provider's pages.
const cookies = new Map()
const browser = async (url, form) => {
	const response = await fetch(new URL(url, issuer), {
		method: form ? "POST" : "GET", redirect: "manual", body: form && new URLSearchParams(form),
		headers: { Cookie: [...cookies].map((pair) => pair.join("=")).join("; ") },
	})
	for (const line of response.headers.getSetCookie()) {
		const [name, value] = line.split(";")[0].split("=")
		cookies.set(name, value)
	}
	return response.headers.get("location") ?? response.url
}
const resources = ["https://api.example", "https://jwt.api.example"]
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
const challenge = Buffer.from(await crypto.subtle.digest("SHA-256", Buffer.from(verifier))).toString("base64url")
const query = new URLSearchParams({
	client_id: "phone", redirect_uri: callback, response_type: "code", scope: "openid offline_access read write", prompt: "consent",
	code_challenge: challenge, code_challenge_method: "S256",
})
for (const resource of resources) query.append("resource", resource)
let at = await browser(`${config.authorization_endpoint}?${query}`)
while (!at.startsWith(callback)) {
	const asks = new URL(at, issuer)
	if (!asks.pathname.startsWith("/interaction/")) {
		at = await browser(at)
		continue
	}
	const text = await (await fetch(asks, { headers: { Cookie: [...cookies].map((pair) => pair.join("=")).join("; ") } })).text()
	at = await browser(asks, text.includes('value="login"') ? { prompt: "login", login: "bob", password: "x" } : { prompt: "consent" })
}
const code = new URL(at).searchParams.get("code")
const first = await post(config.token_endpoint, "phone", { grant_type: "authorization_code", code, redirect_uri: callback, code_verifier: verifier, resource: resources[0] })
const second = await post(config.token_endpoint, "phone", { grant_type: "refresh_token", refresh_token: first.refresh_token, resource: resources[1] })

const revoked = await own("https://api.example")
await post(config.revocation_endpoint, "robot", { token: revoked })
console.log(JSON.stringify({
	issuer,
	tokens: {
		client: await own("https://api.example"), client_jwt: await own("https://jwt.api.example"),
		other: await own("https://files.example"), other_jwt: await own("https://jwt.files.example"), nowhere: await own(),
		user: first.access_token, user_jwt: second.access_token, refresh: second.refresh_token, id_token: first.id_token, revoked,
	},
}))
process.stdin.resume().on("end", () => process.exit(0))
