// Walks a real browser through an OAuth grant: login, consent, callback, a call of the API,
// revocation. It prints what it saw as JSON.
//
//   node consent.mjs CHROMIUM BASE
import { createRequire } from "node:module"
import { createServer } from "node:http"
import { createHash, randomBytes } from "node:crypto"
const puppeteer = createRequire(process.cwd() + "/")("puppeteer-core")

const [executablePath, base] = process.argv.slice(2)
const seen = {}
setTimeout(() => { console.error("too slow", JSON.stringify(seen)); process.exit(1) }, 60_000).unref()

// The application: a native one, which waits on this machine for the browser to come back.
let arrived
const callback = new Promise((resolve) => { arrived = resolve })
const app = createServer((request, response) => {
	response.end("<!doctype html>back in the application")
	if (request.url.startsWith("/callback")) arrived(new URL(request.url, "http://127.0.0.1"))
}).listen(0, "127.0.0.1")
await new Promise((resolve) => app.once("listening", resolve))
const redirect = `http://127.0.0.1:${app.address().port}/callback`
const verifier = randomBytes(32).toString("base64url")
const authorize = base + "/oauth2/authorize?" + new URLSearchParams({
	response_type: "code", client_id: "demo-public", redirect_uri: redirect, scope: "profile", state: "a state",
	code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256",
})

const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] })
const page = await browser.newPage()
await page.goto(authorize)
seen.login_page = new URL(page.url()).pathname
await page.type("input[name=username]", "alice")
await page.type("input[name=password]", "wonderland-42")
await Promise.all([page.waitForNavigation(), page.click("button")])
seen.consent_page = [new URL(page.url()).pathname, await page.evaluate(() => document.body.innerText)]
await Promise.all([page.waitForNavigation(), page.click('button[value="allow"]')])
seen.application_page = await page.evaluate(() => document.body.innerText)
const answer = await callback
seen.callback = [answer.searchParams.get("state"), answer.searchParams.get("iss") === base]

const post = (path, fields) => fetch(base + path, { method: "POST", body: new URLSearchParams({ client_id: "demo-public", ...fields }) })
const tokens = await (await post("/oauth2/token", { grant_type: "authorization_code", code: answer.searchParams.get("code"), redirect_uri: redirect, code_verifier: verifier })).json()
const profile = async () => {
	const response = await fetch(base + "/api/oauth2/profile", { headers: { Authorization: "Bearer " + tokens.access_token } })
	return [response.status, (await response.json()).username ?? null]
}
seen.api = await profile()
seen.revoke = (await post("/oauth2/revoke", { token: tokens.refresh_token })).status
seen.revoked = await profile()

await browser.close()
app.close()
console.log(JSON.stringify(seen))
