// Walks a real browser through the pages for people with the keyboard only, and checks each page.
// It prints what it saw as JSON.
//
//   node keyboard.mjs CHROMIUM SERVER CLIENT with|without    (origins; scripts)
import { createRequire } from "node:module"
import { createHash } from "node:crypto"
const puppeteer = createRequire(process.cwd() + "/")("puppeteer-core")

const [executablePath, server, client, scripts] = process.argv.slice(2)
const port = new URL(server).port
const seen = { problems: [] }
setTimeout(() => { console.error("too slow", JSON.stringify(seen)); process.exit(1) }, 120_000).unref()
const browser = await puppeteer.launch({
	executablePath,
	args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", "--ignore-certificate-errors", `--host-resolver-rules=MAP *.example 127.0.0.1:${port}`],
})
const page = await browser.newPage()
await page.setJavaScriptEnabled(scripts === "with")
page.on("console", (m) => { if (m.type() === "error" && !/status of 4\d\d/.test(m.text())) seen.problems.push(m.text()) })
page.on("pageerror", (e) => seen.problems.push(String(e)))

// A change of isMobile would load the page again.
const size = (width) => page.setViewport({ width, height: 844, deviceScaleFactor: width < 500 ? 2 : 1 })
await size(1280)
// look checks the page that is shown, and takes its pictures.
const look = async (name) => {
	for (const problem of await page.evaluate(() => {
		const wrong = [], all = (s) => [...document.querySelectorAll(s)]
		const shown = (e) => e.getClientRects().length > 0
		if (!document.documentElement.lang) wrong.push("no language")
		if (!document.querySelector("meta[name=viewport]")) wrong.push("no viewport")
		if (all("main").length !== 1 || all("h1").length !== 1) wrong.push("not one main and one h1")
		if (document.title !== document.querySelector("h1")?.innerText) wrong.push(`title ${document.title}`)
		for (const e of all("input:not([type=hidden]), button").filter(shown)) {
			const label = e.labels?.[0]?.innerText || (e.tagName === "BUTTON" && e.innerText)
			if (!label?.trim()) wrong.push(`${e.name || e.type} has no label`)
			const { width, height } = (e.closest("label.check") ?? e).getBoundingClientRect()
			if (width < 24 || height < 24) wrong.push(`${e.name} has ${width}x${height} pixels`)
			if (e.type === "password" && !/-password$/.test(e.autocomplete)) wrong.push(`${e.name} has no autocomplete`)
			for (const id of (e.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean)) if (!document.getElementById(id)) wrong.push(`no element ${id}`)
			if (e.getAttribute("aria-invalid") && !e.getAttribute("aria-describedby")?.split(" ").includes("problem")) wrong.push(`${e.name} has no problem`)
		}
		return wrong
	})) seen.problems.push(`${name}: ${problem}`)
	for (const width of [320, 390, 1280]) {
		await size(width)
		const wide = await page.evaluate(() => document.documentElement.scrollWidth)
		if (wide > width) seen.problems.push(`${name}: ${wide} of ${width} pixels`)
		if (!process.env.VESTIBULE_PICTURES || width === 320) continue
		for (const value of ["light", "dark"]) {
			await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }])
			await page.screenshot({ path: `${process.env.VESTIBULE_PICTURES}/${scripts}-${name}-${width}-${value}.png`, fullPage: true })
		}
	}
}
const heading = () => page.evaluate(() => document.querySelector("h1")?.innerText)
// wrong returns the heading and the field with a problem that it describes.
const wrong = async () => [await heading(), await page.evaluate(() => (document.querySelector("[aria-invalid]:focus") ?? document.querySelector("[aria-invalid]"))?.name)]
const go = (path) => page.goto(server + path, { waitUntil: "load" })
const at = () => { const u = new URL(page.url()); return (u.origin === client ? "client" : "") + u.pathname }
// tab presses Tab until the element has the focus. Each place on the way shows that it has it.
const tab = async (selector) => {
	for (let i = 0; i < 20; i++) {
		const [there, name, visible] = await page.evaluate((s) => {
			const e = document.activeElement, style = getComputedStyle(e)
			return [e.matches(s), e.name || e.innerText || e.tagName, e === document.body || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && e.getClientRects().length > 0]
		}, selector)
		if (!visible) seen.problems.push(`${page.url()}: the focus cannot be seen on ${name}`)
		if (there) return
		await page.keyboard.press("Tab")
	}
	throw new Error(`${selector} cannot be reached on ${page.url()}`)
}
const type = async (field, text) => { await tab(`[name=${field}]`); await page.keyboard.type(text) }
// press presses Enter on an element and waits for the next page.
const press = async (selector) => {
	await tab(selector)
	await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.keyboard.press("Enter")])
}
const authorize = (id, scope) => "/oauth2/authorize?" + new URLSearchParams({
	response_type: "code", client_id: id, redirect_uri: client + "/cb", scope, state: "x",
	code_challenge: createHash("sha256").update("v".repeat(43)).digest("base64url"), code_challenge_method: "S256",
}) + "&resource=https%3A%2F%2Fnotes.example%2Fapi" + (id === "self" ? "&resource=" + encodeURIComponent("https://contacts.example/" + "very-long-path/".repeat(8)) : "")

// An application asks for access: login with a mistake, consent.
await go(authorize("own", "openid notes:read notes:write"))
await look("login")
await type("username", "alice")
await type("password", "wonderland")
await press("button.main")
seen.wrong = await wrong()
await look("login-wrong")
await type("password", "wonderland-42")
await tab("[name=remember]")
await page.keyboard.press("Space")
seen.remember = await page.evaluate(() => document.querySelector("[name=remember]").checked)
await press("button.main")
seen.consent = await heading()
await look("consent")
await press("[value=allow]")
const landed = () => new URL(page.url()).searchParams
seen.allowed = [at(), landed().has("code")]
const exchange = (id) => go("/exchange?" + new URLSearchParams({ grant_type: "authorization_code", client_id: id, code: landed().get("code"), code_verifier: "v".repeat(43), redirect_uri: client + "/cb" }))
await exchange("own")

// One that registered itself, with long names.
await go(authorize("self", "openid notes:read notes:write contacts"))
seen.unverified = await heading()
await look("consent-unverified")
await press("[value=deny]")
seen.denied = await heading()
await look("consent-denied")
await press("a")
seen.denied_back = [at(), landed().get("error")]
await go(authorize("self", "openid notes:read notes:write contacts"))
await press("[value=allow]")
await exchange("self")
await go(authorize("nobody", "openid"))
await look("consent-error")

// A device.
await go("/code?client_id=own&scope=notes:read")
const code = await page.evaluate(() => document.body.innerText)
await go("/oauth2/device")
await look("device")
await type("user_code", "BCDF-GHJK")
await press("button.main")
seen.device_wrong = await wrong()
await look("device-wrong")
await tab("[name=user_code]")
await page.keyboard.down("Control")
await page.keyboard.press("a")
await page.keyboard.up("Control")
await page.keyboard.type(code.toLowerCase())
await press("button.main")
seen.device = await heading()
await look("device-consent")
await press("[value=allow]")
seen.device_done = await heading()
await look("device-done")

// What has access, and an end of it.
const clients = () => page.evaluate(() => [...document.querySelectorAll("h2")].map((e) => e.innerText))
await go("/oauth2/applications")
seen.grants = [await heading(), await clients()]
await look("grants")
await press("button.end")
seen.revoked = [await heading(), await clients()]
await press("button.end")
await look("grants-none")

// A page that is not for this account, and the logout.
const refused = await go("/staff")
seen.forbidden = [await heading(), refused.status()]
await look("forbidden")
await go("/oauth2/logout?client_id=own")
await look("logout")
await press("[value=stay]")
seen.stayed = await heading()
await look("logout-stayed")
await go("/oauth2/logout?client_id=own")
await press("[value=logout]")
seen.logged_out = await heading()
await look("logout-done")

// A forgotten password.
await go("/login?next=/staff")
await press("a")
seen.forgot = await heading()
await look("forgot")
await type("address", "alice@app.example")
await press("button.main")
seen.sent = await heading()
await look("forgot-sent")
await go("/mail")
const link = await page.evaluate(() => document.body.innerText)
await page.goto(link, { waitUntil: "load" })
seen.link = [new URL(page.url()).hash.split("=")[0], await page.evaluate(() => document.getElementById("link").hidden)]
await look("reset")
if (scripts !== "with") await type("token", link)
await type("password", "short")
await press("button.main")
seen.weak = await wrong()
await look("reset-weak")
await type("password", "through-the-glass")
await press("button.main")
seen.reset = await heading()
await look("reset-done")
await go("/reset")
await look("reset-without-link")
await type("token", link)
await type("password", "through-the-glass")
await press("button.main")
seen.used = await wrong()
await look("reset-used")
await go("/login?next=/staff")
await type("username", "alice")
await type("password", "through-the-glass")
await press("button.main")
seen.new_password = at()

await browser.close()
console.log(JSON.stringify(seen))
