// Walks a real browser through the pages of a test server, and prints what it saw as
// JSON: one member a step.
//
//   node browser.mjs CHROMIUM APP EVIL SIBLING FRONT LOOPBACK    origins
import { createRequire } from "node:module"
const puppeteer = createRequire(process.cwd() + "/")("puppeteer-core")

const [executablePath, app, evil, sibling, front, loopback] = process.argv.slice(2)
const port = new URL(app).port
const browser = await puppeteer.launch({
	executablePath,
	args: ["--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", `--host-resolver-rules=MAP *.example 127.0.0.1:${port}`],
})
const seen = {}
const page = await browser.newPage()
const text = () => page.evaluate(() => document.body.innerText)
const go = async (url) => (await page.goto(url, { waitUntil: "load" })).status()
const submit = async (name) => {
	const [answer] = await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.click(`button[name="${name}"], form:not([data-other]) button`)])
	return answer.status()
}

// The form logs in and sends the browser on.
await go(app + "/login?next=/me")
await page.type("input[name=username]", "alice")
await page.type("input[name=password]", "wrong")
seen.wrong_password = [await submit("go"), await text()]
await page.type("input[name=password]", "right")
seen.login = [await submit("go"), page.url(), await text()]
seen.script_sees_cookies = await page.evaluate(() => document.cookie)
seen.cookies = (await page.cookies(app)).map(({ name, secure, httpOnly, sameSite, path, domain }) => ({ name, secure, httpOnly, sameSite, path, domain }))

// Its own page may change something; other sites' pages may not.
const post = async (from, path = "/cause") => {
	await go(from + path + "?to=" + encodeURIComponent(app + "/change"))
	return [await submit("go"), await text()]
}
seen.change = await post(app)
seen.change_without_referrer = await post(app, "/quiet") // Origin: null, Sec-Fetch-Site: same-origin
seen.change_without_referrer_from_sibling = await post(sibling, "/quiet")
seen.change_from_evil = await post(evil)
seen.change_from_sibling = await post(sibling)
await go(sibling + "/empty")
seen.fetch_from_sibling = await page.evaluate(async (to) => {
	await fetch(to, { method: "POST", mode: "no-cors", credentials: "include", headers: { "Content-Type": "text/plain" }, body: "{}" }).catch(() => {})
	return "sent"
}, app + "/change")
// The handshake of a WebSocket is a GET, and a sibling's carries the cookie.
const socket = (from) => go(from + "/empty").then(() => page.evaluate((to) => new Promise((resolve) => {
	const s = new WebSocket(to)
	s.onopen = () => resolve("open")
	s.onerror = () => resolve("closed")
}), app.replace("https", "wss") + "/socket"))
seen.socket = await socket(app)
seen.socket_from_sibling = await socket(sibling)
seen.login_from_evil = await (async () => {
	await go(evil + "/cause?to=" + encodeURIComponent(app + "/login") + "&username=mallory&password=right")
	return [await submit("go"), await text()]
})()

// A front end on a host of its own that the site trusts may ask, with the cookie.
const ask = async (from) => {
	await go(from + "/empty")
	return page.evaluate(async (to) => {
		const headers = { "Content-Type": "application/json" }
		try {
			const answer = await fetch(to, { method: "POST", credentials: "include", headers, body: "{}" })
			return [answer.status, await answer.text()]
		} catch (error) {
			return error.name
		}
	}, app + "/change")
}
seen.fetch_from_front = await ask(front)
seen.fetch_from_evil = await ask(evil)
seen.fetch_json_from_sibling = await ask(sibling)

// What a sibling host plants does not reach the session, whatever its spelling.
await go(sibling + "/empty")
await page.evaluate(() => {
	for (const name of ["__Host-session", "__hOsT-session", "__HOST-SESSION", "session"]) {
		document.cookie = `${name}=planted; Domain=app.example; Path=/; Secure`
		document.cookie = `${name}=planted; Domain=app.example; Path=/me; Secure`
	}
})
seen.planted_by_sibling = [await go(app + "/me"), await text(), await page.evaluate(() => document.cookie)]
await go(app + "/me")

// After logout the way back shows nothing private.
await go(app + "/me")
seen.logout = [await submit("logout"), page.url()]
await page.goBack({ waitUntil: "load" }).catch(() => {})
seen.back = await text()
seen.after_logout = [await go(app + "/me"), await text()]

// Over plain http, on this machine: without __Host- a page can plant a second cookie.
await go(loopback + "/login?next=/me")
await page.type("input[name=username]", "alice")
await page.type("input[name=password]", "right")
seen.loopback_login = [await submit("go"), await text()]
await page.evaluate(() => { document.cookie = "session=planted; Path=/me" })
seen.two_cookies = [await go(loopback + "/me"), await text()]

await browser.close()
console.log(JSON.stringify(seen))
