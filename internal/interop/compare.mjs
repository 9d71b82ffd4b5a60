// Walks a real browser through the page of examples/compare, and prints what it saw as JSON:
// one member a step.
//
//   node compare.mjs CHROMIUM BASE [SCREENSHOT]
import { createRequire } from "node:module"
const puppeteer = createRequire(process.cwd() + "/")("puppeteer-core")

const [executablePath, base, picture] = process.argv.slice(2)
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"] })
const seen = { problems: [] }
const page = await browser.newPage()
// What the browser itself notes about an answer that is refused on purpose is no problem.
page.on("console", (m) => { if (m.type() === "error" && !/status of 4\d\d/.test(m.text())) seen.problems.push(m.text()) })
page.on("pageerror", (e) => seen.problems.push(String(e)))
await page.setViewport({ width: 1280, height: 900 })

const idle = () => page.waitForFunction(() => !document.body.dataset.busy, { timeout: 20000 })
const click = async (selector) => { await page.click(selector); await idle() }
const choose = async (name) => { await page.evaluate((n) => document.querySelector(`input[value=${n}]`).click(), name); await idle() }
const first = () => page.evaluate(() => document.querySelector("#wire article")?.innerText ?? "")
const trace = () => page.evaluate(() => document.querySelector("#trace").innerText)
// place returns what has the focus, and whether the last answer is in sight.
const place = () => page.evaluate(() => [document.activeElement.id, [...document.querySelectorAll("#here .answer, #wire article:first-child .answer")].some((e) => {
	const { top, bottom, width } = e.getBoundingClientRect()
	return width > 0 && top >= 0 && bottom <= innerHeight
})])
const asked = async (what) => { await click(`[data-ask="${what}"]`); return first() }

await page.goto(base + "/", { waitUntil: "networkidle0" })
seen.anonymous = await asked("GET /api/profile")
for (const name of ["token", "knox", "jwt", "session", "basic"]) {
	await choose(name)
	await click("#login")
	const s = (seen[name] = { login: await first(), trace: await trace() })
	s.chain = await asked("GET /api/profile")
	s.note = await asked("POST /api/notes")
	s.admin = await asked("GET /api/admin")
	s.marks = await page.evaluate(() => [...document.querySelectorAll("#wire article mark")].length)
	if (name === "jwt") {
		await click("#refresh")
		s.refresh = await first()
	}
	if (name !== "session") {
		await click("#spoil")
		s.spoilt = [await first(), await trace()]
		await click("#login")
	}
	if (name !== "basic") {
		await click("#logout")
		s.after = await first()
		s.place = await place()
	}
}

// What is told of a refused login stays, and the error's code is no secret.
await choose("knox")
await click("#login")
await page.type("#password", "x")
await click("#login")
await new Promise((done) => setTimeout(done, 1200)) // the page looks at the time once a second
seen.wrong = await page.evaluate(() => [document.querySelector("#state").innerText, ...[...document.querySelectorAll("#wire article:first-child mark")].map((m) => m.innerText)])
await page.focus("#password")
await page.keyboard.press("End")
await page.keyboard.press("Backspace")

// OAuth2 leaves the page, by the login form and the consent page, and comes back.
await choose("oauth2")
await Promise.all([page.waitForNavigation(), page.click("#login")])
await page.type("input[name=username]", "alice")
await page.type("input[name=password]", "wonderland-42")
await Promise.all([page.waitForNavigation(), page.click("form button")])
await Promise.all([page.waitForNavigation(), page.click("button[value=allow]")])
await page.waitForFunction(() => document.querySelector("#trace .sum"))
await idle()
seen.oauth2 = { login: await first(), trace: await trace(), address: page.url(), stored: await page.evaluate(() => JSON.stringify([sessionStorage.length, localStorage.length])) }
seen.oauth2.admin = await asked("GET /api/admin")
await click("#refresh")
seen.oauth2.refresh = await first()
await click("#measure")
seen.measured = await page.evaluate(() => [...document.querySelectorAll("#measured td[data-scheme]:not([data-scheme=''])")].map((c) => c.innerText))
if (picture) {
	await choose("knox")
	await asked("GET /api/{scheme}/profile")
	await click("#clear")
	await click("#login")
	await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0) })
	await page.screenshot({ path: picture, clip: { x: 0, y: 0, width: 1280, height: 1180 } })
	if (process.env.VESTIBULE_PICTURES) {
		await page.screenshot({ path: process.env.VESTIBULE_PICTURES + "/light.png", fullPage: true })
		await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }])
		await page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished)))
		await page.screenshot({ path: process.env.VESTIBULE_PICTURES + "/dark.png", fullPage: true })
		await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }])
	}
	await choose("oauth2")
}
await click("#logout")
seen.oauth2.after = await first()

// By the keyboard alone, each place with a mark that shows where one is.
await page.goto(base + "/", { waitUntil: "networkidle0" })
const places = []
const tab = async () => {
	await page.keyboard.press("Tab")
	places.push(await page.evaluate(() => {
		const e = document.activeElement, shown = e.matches(".schemes input") ? e.nextElementSibling : e
		return [e.id || e.name || e.className, getComputedStyle(shown).outlineStyle !== "none"]
	}))
	return places.at(-1)[0]
}
for (let i = 0; i < 10 && (await tab()) !== "scheme"; i++);
await page.keyboard.press("ArrowRight")
await idle()
for (let i = 0; i < 10 && (await tab()) !== "login"; i++);
await page.keyboard.press("Enter")
await page.waitForFunction(() => /Accepted/.test(document.querySelector("#trace").innerText))
await idle()
seen.keyboard = { places, wire: await first(), scheme: await page.evaluate(() => document.querySelector("input[name=scheme]:checked").value) }

// A phone.
const phone = async (scheme) => {
	await page.setViewport({ width: 360, height: 740, deviceScaleFactor: 2, isMobile: true, hasTouch: true })
	await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }])
	await page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished)))
	return page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
}
seen.phone = [await phone("light"), await phone("dark")]
if (process.env.VESTIBULE_PICTURES) await page.screenshot({ path: process.env.VESTIBULE_PICTURES + "/phone.png", fullPage: true })

// Without JavaScript.
const plain = await browser.newPage()
await plain.setJavaScriptEnabled(false)
await plain.goto(base + "/")
const text = await plain.$eval("body", (b) => b.innerText).catch(() => "")
seen.plain = text || (await plain.content())

await browser.close()
console.log(JSON.stringify(seen))
