// Walks a real browser through the pages of an authorization server, from a client of another
// site whose addresses redirect to a third one. It prints what it saw as JSON.
//
//   node pages.mjs CHROMIUM SERVER CLIENT THIRD    origins
import { createRequire } from "node:module"
import { createHash, randomBytes } from "node:crypto"
const puppeteer = createRequire(process.cwd() + "/")("puppeteer-core")

const [executablePath, server, client, third] = process.argv.slice(2)
const port = new URL(server).port
const seen = {}
setTimeout(() => { console.error("too slow", JSON.stringify(seen)); process.exit(1) }, 90_000).unref()
const browser = await puppeteer.launch({
	executablePath,
	args: ["--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", `--host-resolver-rules=MAP *.example 127.0.0.1:${port}`],
})
const page = await browser.newPage()
const at = () => { const u = new URL(page.url()); return u.origin === server ? u.pathname : u.origin === client ? "client" + u.pathname : u.origin === third ? "third" + u.pathname : page.url() }
const text = () => page.evaluate(() => document.body.innerText)
const go = async (url) => { await page.goto(url, { waitUntil: "load" }) }
// click clicks and waits for where it leads; a form that the browser blocks leads nowhere.
const click = async (selector) => {
	await Promise.all([page.waitForNavigation({ waitUntil: "load", timeout: 4_000 }).catch(() => {}), page.click(selector)])
	return at()
}
const login = async () => {
	await page.type("input[name=username]", "alice")
	await page.type("input[name=password]", "right")
	return click("button")
}

let verifier
const request = (more = {}) => {
	verifier = randomBytes(32).toString("base64url")
	return new URLSearchParams({
		response_type: "code", client_id: "far", redirect_uri: client + "/cb", scope: "openid", state: "a state",
		code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256", ...more,
	})
}
const post = async (path, fields) => {
	await go(client + "/form?" + new URLSearchParams({ to: server + path, ...Object.fromEntries(fields) }))
	return click("button")
}

// The request by POST of another site, the login, Allow, and the client's redirect to a third site.
seen.post_request = await post("/oauth2/authorize", request())
seen.login = await login()
seen.allow = await click('button[value="allow"]')
const landed = new URL(page.url()).searchParams
seen.landed = [landed.get("state"), landed.has("code")]

// A script of the third site exchanges the code, which takes a preflight, and reads the documents.
const ask = (path, init) => page.evaluate(async (url, init) => {
	try {
		const answer = await fetch(url, init)
		return [answer.status, await answer.json().catch(() => null)]
	} catch (error) {
		return error.name
	}
}, server + path, init)
const exchange = (code) => ask("/oauth2/token", {
	method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded", "MCP-Protocol-Version": "x" },
	body: new URLSearchParams({ grant_type: "authorization_code", client_id: "far", client_secret: "", code, redirect_uri: client + "/cb", code_verifier: verifier }).toString(),
})
const tokens = await exchange(landed.get("code"))
seen.exchange = [tokens[0], !!tokens[1]?.id_token]
seen.error_is_read = await ask("/oauth2/token", { method: "POST", headers: { Authorization: "Basic !", "Content-Type": "application/x-www-form-urlencoded" } }).then((a) => [a[0], a[1]?.error])
seen.authorize_by_script = await ask("/oauth2/authorize?" + request(), { headers: { "MCP-Protocol-Version": "x" } })
await go(client + "/form?to=x")
for (const path of ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/oauth2/jwks"])
	seen["document " + path] = (await ask(path, { headers: { "MCP-Protocol-Version": "x" } }))[0] ?? null
seen.token_from_elsewhere = await exchange("x")

// Deny.
await go(server + "/oauth2/authorize?" + request({ prompt: "consent" }))
seen.deny = [await click('button[value="deny"]'), new URL(page.url()).searchParams.get("error")]

// Logout by the question, whose client redirects to a third site too.
const bye = { client_id: "far", post_logout_redirect_uri: client + "/bye", state: "z" }
seen.question_by_post = [await post("/oauth2/logout", new URLSearchParams(bye)), (await text()).includes("Log out?")]
seen.stay = [await click('button[value="stay"]'), await text()]
await go(server + "/me")
seen.still_in = [at(), await text()]
await go(server + "/oauth2/logout?" + new URLSearchParams(bye))
seen.logout = [await click('button[value="logout"]'), new URL(page.url()).searchParams.get("state")]
await go(server + "/me")
seen.out = at()

// Logout by POST with the ID token of this very login: no question.
await go(server + "/oauth2/authorize?" + request({ prompt: "consent" }))
await login()
await click('button[value="allow"]')
const second = await exchange(new URL(page.url()).searchParams.get("code"))
seen.logout_by_post = [await post("/oauth2/logout", new URLSearchParams({ ...bye, id_token_hint: second[1].id_token })), new URL(page.url()).searchParams.get("state")]
await go(server + "/me")
seen.out_by_post = at()
await go(server + "/oauth2/logout")
seen.nothing_to_end = (await text()).includes("You are logged out")

// The session ends elsewhere.
const cookies = async () => (await page.cookies(server)).map(({ name }) => name)
seen.login_again = (await go(server + "/login?next=/me"), await login())
for (const path of ["/me?x=y", "/oauth2/authorize?" + request(), "/oauth2/device", "/oauth2/applications"]) {
	await go(server + "/login?next=/me")
	await login()
	seen["before " + path.split("?")[0]] = await cookies()
	await go(server + "/kill")
	await go(server + path)
	seen["ended " + path.split("?")[0]] = [at(), await cookies()]
	seen["back " + path.split("?")[0]] = await login()
}
// While the consent page is open: Allow leads to the login, and then to the same question.
await go(server + "/oauth2/authorize?" + request({ prompt: "consent" }))
const other = await browser.newPage()
await other.goto(server + "/kill", { waitUntil: "load" })
await other.close()
seen.allow_too_late = [await click('button[value="allow"]'), await login()]
seen.allow_again = await click('button[value="allow"]')
await go(server + "/kill")
await go(server + "/oauth2/authorize?" + request({ prompt: "none" }))
seen.silent = [at(), new URL(page.url()).searchParams.get("error")]

await browser.close()
console.log(JSON.stringify(seen))
