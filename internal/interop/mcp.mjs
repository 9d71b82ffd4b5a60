// The client of the TypeScript SDK of the Model Context Protocol, against a running examples/mcp;
// it prints what it saw as JSON. With DOCUMENT, the URL of its metadata document, it does not
// register.
//
//   node mcp.mjs BASE [DOCUMENT]
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { webcrypto } from "node:crypto"
import { visitor } from "./visitor.mjs"
globalThis.crypto ??= webcrypto
const find = createRequire(process.cwd() + "/").resolve
const sdk = (path) => import(pathToFileURL(find("@modelcontextprotocol/sdk/" + path).replace("/cjs/", "/esm/")))
const { Client } = await sdk("client/index.js")
const { StreamableHTTPClientTransport } = await sdk("client/streamableHttp.js")
const { UnauthorizedError } = await sdk("client/auth.js")

const [base, clientMetadataUrl] = process.argv.slice(2)
const seen = {}
const redirectUrl = "http://127.0.0.1:47825/callback"
const { authorize } = visitor(base)

// What an application implements: it stores, and opens the browser.
const stored = {}
const provider = {
	redirectUrl, clientMetadataUrl,
	clientMetadata: { client_name: "TypeScript", redirect_uris: [redirectUrl], token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"], response_types: ["code"] },
	state: () => "a state",
	clientInformation: () => stored.client, saveClientInformation: (client) => { stored.client = client },
	tokens: () => stored.tokens, saveTokens: (tokens) => { stored.tokens = tokens },
	codeVerifier: () => stored.verifier, saveCodeVerifier: (verifier) => { stored.verifier = verifier },
	redirectToAuthorization: (url) => { stored.url = url },
	invalidateCredentials: (scope) => { if (scope !== "client") delete stored.tokens },
}
const transport = () => new StreamableHTTPClientTransport(new URL("/mcp", base), { authProvider: provider })
const connect = async (by) => {
	const client = new Client({ name: "test", version: "1" })
	await client.connect(by)
	return client
}
const fault = (error) => (error instanceof UnauthorizedError ? "unauthorized" : String(error))

const first = transport()
seen.without_token = await connect(first).then(() => "accepted", fault)
seen.request = [...stored.url.searchParams.keys()].sort().join(" ")
seen.resource = stored.url.searchParams.get("resource") === base + "/mcp"
seen.scope = stored.url.searchParams.get("scope")
const back = await authorize(stored.url)
seen.callback = [back.searchParams.get("state"), back.searchParams.get("iss") === base]
await first.finishAuth(back.searchParams.get("code"))
seen.client = clientMetadataUrl ? stored.client.client_id === clientMetadataUrl : typeof stored.client.client_id
const client = await connect(transport())
const call = () => client.callTool({ name: "whoami" }).then(({ structuredContent: who }) => [who.subject !== "", who.client === stored.client.client_id, who.scopes.join()], fault)
seen.call = await call()

// A token that is no longer accepted is replaced without the user.
const old = stored.tokens
stored.tokens = { ...old, access_token: "x" + old.access_token }
seen.call_with_bad_token = await call()
seen.refresh = [stored.tokens.access_token !== old.access_token, stored.tokens.refresh_token !== old.refresh_token]

// The user ends it. The client must ask again.
delete stored.url
const revoked = await fetch(new URL("/oauth2/revoke", base), { method: "POST", body: new URLSearchParams({ client_id: stored.client.client_id, token: stored.tokens.refresh_token }) })
seen.revoked = [revoked.status, await call(), stored.url !== undefined]
console.log(JSON.stringify(seen))
