// The page of examples/compare: each button makes the request that its scheme's clients make,
// and shows it. Credentials live in this variable and are gone with the page.
const held = {} // scheme: { secret, header, refresh, expires, until }

const $ = (id) => document.getElementById(id)
const form = $("form"), wire = $("wire")
const scheme = () => new FormData(form).get("scheme")
const json = { "Content-Type": "application/json" }
const post = (body) => ({ method: "POST", headers: { ...json }, body: JSON.stringify(body) })

const about = {
	token: "One token per account. Each login returns the same token until you delete it. For scripts and services of one user.",
	knox: "One token per device, with a name and an expiry time. Each can be listed and revoked separately.",
	jwt: "A signed access token that expires after minutes, and a refresh token for one use. Other services can verify it with the published keys.",
	oauth2: "You log in here and allow an application to act for you, within the scopes it requests. It never sees your password. Authorization code with PKCE.",
	session: "A cookie with a random ID. Scripts cannot read it, and other sites cannot use it.",
	basic: "The username and password in every request. Simple, but only a new password revokes access.",
}

// Element with text and children.
const el = (name, className, ...children) => {
	const e = document.createElement(name)
	if (className) e.className = className
	e.append(...children)
	return e
}

// marked splits a text at its secrets.
const marked = (text, secrets) => {
	let parts = [text]
	for (const s of secrets.filter((s) => s && s.length > 3)) {
		parts = parts.flatMap((p) => (typeof p !== "string" ? [p] : p.split(s).flatMap((x, i) => (i ? [el("mark", "", s), x] : [x]))))
	}
	return parts
}

// secretsOf finds what a body or an answer wants kept secret. The "code" of an answer names an error.
const secretNames = ["token", "access", "refresh", "access_token", "refresh_token", "password"]
const secretsOf = (text, names) => {
	let all = {}
	try { all = JSON.parse(text) } catch { all = Object.fromEntries(new URLSearchParams(text)) }
	return names.map((n) => all?.[n]).filter((v) => typeof v === "string")
}

// call sends a request and shows it with its answer.
const call = async (path, { method = "GET", headers = {}, body, credentials = "omit" } = {}) => {
	let answer, text
	try {
		answer = await fetch(path, { method, headers, body, credentials, redirect: "manual", cache: "no-store" })
		text = await answer.text()
	} catch {
		silent()
	}
	last = `${answer.status} ${answer.statusText}. `
	const secrets = [...secretsOf(body ?? "", [...secretNames, "code", "code_verifier"]), ...secretsOf(text, secretNames)]
	if (headers.Authorization) secrets.push(headers.Authorization.replace(/^\S+ /, ""))
	const lines = Object.entries(headers).map(([k, v]) => `${k}: ${v}\n`).join("")
	const shown = el("article", "", el("div", "", el("span", "line", `${method} ${path}\n`), ...marked(lines, secrets)))
	if (credentials !== "omit") shown.append(el("span", "dim", "Cookie: session=… (the browser adds it; this script cannot read it)\n"))
	if (body) shown.append(el("div", "", ...marked(body, secrets)))
	const kept = ["WWW-Authenticate", "Retry-After"].map((n) => answer.headers.get(n) && `${n}: ${answer.headers.get(n)}\n`).filter(Boolean).join("")
	let pretty = text
	try { pretty = JSON.stringify(JSON.parse(text), null, 2) } catch { /* as it is */ }
	shown.append(el("div", "answer", el("span", answer.ok ? "ok line" : "no line", `${answer.status} ${answer.statusText}\n`), el("span", "dim", kept), ...marked(pretty, secrets)))
	wire.querySelector(".empty")?.remove()
	wire.prepend(shown)
	wire.scrollTop = 0
	answers.push({ line: `${method} ${path} → ${answer.status} ${answer.statusText}`, shown })
	return { ok: answer.ok, status: answer.status, text, data: (() => { try { return JSON.parse(text) } catch { return {} } })() }
}

// On a small screen the log is far below the buttons, and on a low one its top can be out of sight. The
// last answer is then repeated below the buttons that were pressed.
const stacked = matchMedia("(max-width: 56rem)")
let answers = []
const here = (pressed = $("login")) => {
	const box = $("here"), last = answers.at(-1), group = pressed.closest("#form .buttons")
	box.hidden = true // before measuring, because it moves the log
	if (!last || !group || !stacked.matches && wire.getBoundingClientRect().top >= 0) return
	box.hidden = false
	group.after(box)
	const sum = $("trace").querySelector(".sum")?.textContent
	box.replaceChildren(...answers.slice(0, -1).map((a) => el("p", "dim", a.line)), last.shown.cloneNode(true), ...(sum ? [el("p", "", sum)] : []))
	box.scrollIntoView({ block: "nearest" })
}

// The state says how the last request was answered. What is told stays until something else happens.
let last = "", told = false
const say = (text) => { if ($("state").textContent !== last + text) $("state").textContent = last + text }
const tell = (text) => { told = true; say(text) }
const silent = () => {
	last = ""
	tell("The server does not respond.")
	throw new Error("no answer")
}

// How each scheme logs in; the answer's credential goes to held.
const b64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))
const b64url = (bytes) => b64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
const bearer = (keyword, secret, more = {}) => ({ secret, header: `${keyword} ${secret}`, ...more })
const person = () => ({ username: form.username.value, password: form.password.value })
const login = {
	async token(who) { const r = await call("/token/login", post(who)); return r.ok && bearer("Token", r.data.token) },
	async knox(who) { const r = await call("/knox/login", post({ ...who, name: "this page" })); return r.ok && bearer("Knox", r.data.token, { until: Date.parse(r.data.expiry) }) },
	async jwt(who) { const r = await call("/jwt/token", post(who)); return r.ok && pair(r.data) },
	async session(who) { const r = await call("/session/login", { ...post(who), credentials: "same-origin" }); return r.ok && { cookie: true } },
	async basic({ username, password }) { return bearer("Basic", b64(new TextEncoder().encode(`${username}:${password}`))) },
	async oauth2() { await authorize(); return null },
}
const pair = ({ access, refresh }) => bearer("Bearer", access, { refresh, until: claims(access).exp * 1000 })
const claims = (jwt) => { try { return JSON.parse(atob(jwt.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))) } catch { return {} } }
const grant = (d) => bearer("Bearer", d.access_token, { refresh: d.refresh_token, until: Date.now() + d.expires_in * 1000 })

// The authorization code walk leaves the page: what it needs afterwards waits in the session
// storage of this tab. That is the verifier, of use to nobody without the code; no token is
// ever kept there.
const redirect = `http://127.0.0.1:${location.port}/callback`
const authorize = async () => {
	if (location.hostname !== "127.0.0.1") { // the address that the client is registered with
		location.href = `http://127.0.0.1:${location.port}/#oauth2`
		return
	}
	const verifier = b64url(crypto.getRandomValues(new Uint8Array(32))), state = b64url(crypto.getRandomValues(new Uint8Array(16)))
	sessionStorage.setItem("walk", JSON.stringify({ verifier, state }))
	const challenge = b64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)))
	location.href = "/oauth2/authorize?" + new URLSearchParams({
		response_type: "code", client_id: "demo-public", redirect_uri: redirect, scope: "profile notes:read notes:write", state, code_challenge: challenge, code_challenge_method: "S256",
	})
}
const formPost = (fields) => ({ method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: new URLSearchParams(fields).toString() })
const arrive = async () => {
	const query = new URLSearchParams(location.search), walk = JSON.parse(sessionStorage.getItem("walk") ?? "null")
	sessionStorage.removeItem("walk")
	history.replaceState(null, "", "/#oauth2")
	choose("oauth2")
	if (!walk || walk.state !== query.get("state")) return tell("This response does not belong to a login that started here.")
	if (query.get("error")) return tell(`The authorization server returned an error: ${query.get("error")}.`)
	const r = await call("/oauth2/token", formPost({ grant_type: "authorization_code", client_id: "demo-public", redirect_uri: redirect, code_verifier: walk.verifier, code: query.get("code") }))
	if (!r.ok) return tell("The authorization code was rejected.")
	held.oauth2 = grant(r.data)
	await ask("GET /api/oauth2/profile")
}

// options of a request with the held credential.
const withHeld = (name, more = {}) => {
	const h = held[name]
	if (!h) return more
	if (h.cookie) return { ...more, credentials: "same-origin" }
	return { ...more, headers: { ...more.headers, Authorization: h.header } }
}

let note = 0
const ask = async (what) => {
	const name = scheme(), [method, path] = what.replace("{scheme}", name).split(" ")
	const body = method === "POST" ? post({ text: `Note ${++note}, by ${name}` }) : {}
	await call(path, withHeld(name, { method, ...body }))
	await trace(name)
	show()
}

const outcomes = { absent: "skipped", refused: "rejected" }

// trace asks the chain about the same credential, without showing that request.
const trace = async (name) => {
	const { headers = {}, credentials = "omit" } = withHeld(name)
	const answer = await fetch("/trace", { headers, credentials, cache: "no-store" }).catch(silent)
	const list = $("trace")
	list.replaceChildren()
	if (!answer.ok) return list.append(el("li", "empty", `No decision trace (${answer.status}).`))
	const { outcome, scheme: by, username, steps } = await answer.json()
	for (const s of steps) list.append(el("li", "", el("span", "", s.scheme), el("span", { accepted: "ok", refused: "no" }[s.outcome] ?? "why", outcomes[s.outcome] ?? s.outcome), el("span", "why", s.why ?? "")))
	list.append(el("li", "sum", { accepted: `Accepted: ${username || "a client"}, by ${by}. Later schemes were not tried.`, refused: "Rejected: later schemes were not tried, and the request is not treated as anonymous.", anonymous: "No scheme found credentials: the request is anonymous." }[outcome]))
}

const end = {
	token: () => call("/token/logout", withHeld("token", { method: "POST" })),
	knox: () => call("/knox/logout", withHeld("knox", { method: "POST" })),
	jwt: () => call("/jwt/token/blacklist", post({ refresh: held.jwt?.refresh })),
	oauth2: () => call("/oauth2/revoke", formPost({ client_id: "demo-public", token: held.oauth2?.refresh })),
	session: () => call("/session/logout", { method: "POST", credentials: "same-origin" }),
}

// show says what is held, and which buttons make sense.
const show = () => {
	const name = scheme(), h = held[name]
	$("about").textContent = about[name]
	$("login").textContent = name === "oauth2" ? "Authorize" : name === "basic" ? "Use username and password" : "Log in"
	// Not "disabled": the button that was just pressed would lose the keyboard's focus.
	const off = (id, is) => $(id).setAttribute("aria-disabled", is)
	off("refresh", !h?.refresh)
	off("spoil", !h?.header)
	off("logout", !h || !end[name])
	off("everywhere", !h)
	off("forget", !h)
	for (const c of document.querySelectorAll("#table [data-scheme]")) c.classList.toggle("now", c.dataset.scheme === name)
	told = false
	tick()
}
const tick = () => {
	const h = held[scheme()]
	if (!h) return say("Not logged in with this scheme: requests have no credentials.")
	if (h.spoilt) return say("The credential is corrupt. Log in again.")
	if (!h.until) return say("Logged in, without an expiry time.")
	let left = Math.round((h.until - Date.now()) / 1000)
	if (left > 10) left = Math.ceil(left / 10) * 10 // said aloud only now and then
	say(left <= 0 ? "Expired. Send a request to see it rejected." : `Logged in; expires in ${left > 7200 ? `${Math.round(left / 3600)} hours` : left > 120 ? `${Math.round(left / 60)} minutes` : `${left} seconds`}.`)
}
const choose = (name) => { form.scheme.value = name; show() }

// busy lets one thing happen at a time, and keeps the keyboard where it is.
let running = false
const busy = (f) => async (event) => {
	event?.preventDefault()
	if (running || event?.currentTarget?.ariaDisabled === "true") return
	running = true
	document.body.dataset.busy = "busy"
	const pressed = event?.submitter ?? event?.currentTarget ?? undefined
	answers = []
	try { await f(event) } catch (e) { if (e.message !== "no answer") throw e } finally { running = false; here(pressed); delete document.body.dataset.busy }
}

form.addEventListener("change", (e) => { if (e.target.name === "scheme") { last = ""; show(); busy(() => trace(scheme()))() } })
form.addEventListener("submit", busy(async () => {
	const name = scheme(), got = await login[name](person())
	if (got === null) return
	if (!got) return tell("The login was rejected.")
	held[name] = got
	await ask("GET /api/{scheme}/profile")
}))
for (const b of document.querySelectorAll("[data-ask]")) b.addEventListener("click", busy(() => ask(b.dataset.ask)))
$("refresh").addEventListener("click", busy(async () => {
	const name = scheme()
	const r = name === "jwt" ? await call("/jwt/token/refresh", post({ refresh: held.jwt.refresh })) : await call("/oauth2/token", formPost({ grant_type: "refresh_token", client_id: "demo-public", refresh_token: held.oauth2.refresh }))
	if (r.ok) held[name] = name === "jwt" ? pair(r.data) : grant(r.data)
	show()
	if (!r.ok) tell("The refresh token was rejected.")
}))
$("spoil").addEventListener("click", busy(async () => {
	const h = held[scheme()], at = Math.floor(h.secret.length / 2)
	h.secret = h.secret.slice(0, at) + (h.secret[at] === "A" ? "B" : "A") + h.secret.slice(at + 1)
	h.header = h.header.replace(/ .*/, " " + h.secret)
	h.spoilt = true
	await ask("GET /api/open")
}))
$("logout").addEventListener("click", busy(async () => {
	const name = scheme(), r = await end[name]()
	if (r.ok) await ask("GET /api/{scheme}/profile") // with what is still held, to see it refused
	if (r.ok) { delete held[name]; last = "Logged out. " }
	show()
}))
$("everywhere").addEventListener("click", busy(async () => {
	const r = await call("/logout-everywhere", withHeld(scheme(), { method: "POST" }))
	if (r.ok) await ask("GET /api/{scheme}/profile")
	if (r.ok) {
		for (const n of Object.keys(held)) if (n !== "basic") delete held[n]
		last = "Logged out everywhere. "
	}
	show()
	if (r.status === 403) tell("An application that acts for you cannot log you out everywhere. Use another scheme.")
}))
$("forget").addEventListener("click", busy(async () => { delete held[scheme()]; last = ""; show(); await trace(scheme()) }))
$("clear").addEventListener("click", () => {
	wire.replaceChildren(el("p", "empty", "Requests and responses appear here."))
	$("here").hidden = true
})

// measure asks the server to measure each scheme with this page's own credential.
$("measure").addEventListener("click", busy(async () => {
	const button = $("measure"), status = $("measuring")
	for (const cell of document.querySelectorAll("#measured td[data-scheme]")) cell.textContent = "–"
	for (const name of ["token", "knox", "jwt", "session", "basic", "oauth2"]) {
		const cell = document.querySelector(`#measured td[data-scheme="${name}"]`)
		if (!held[name] && name !== "oauth2") held[name] = (await login[name](person())) || undefined
		if (!held[name]) { cell.textContent = name === "oauth2" ? "log in first" : "login failed"; continue }
		const answer = await fetch("/measure", withHeld(name, { method: "POST", credentials: "omit" })).catch(silent)
		if (!answer.ok) { cell.textContent = `rejected (${answer.status})`; continue }
		const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
		for (let rest = ""; ;) {
			const { value, done } = await reader.read()
			if (done) break
			const lines = (rest + value).split("\n")
			rest = lines.pop()
			for (const p of lines.map((l) => JSON.parse(l))) {
				status.textContent = p.done ? "" : `${name}: ${p.requests.toLocaleString("en")} requests …`
				if (p.done) cell.replaceChildren(`${time(p.median_us)}`, el("small", "", `99% within ${time(p.p99_us)}; ${Math.round(p.per_second).toLocaleString("en")} per second`))
			}
		}
	}
	status.textContent = `Median time of complete profile requests, one at a time, without the network, ${button.dataset.kept}.`
	button.focus()
	last = ""
	show()
}))
const time = (us) => (us < 1000 ? `${us.toFixed(us < 100 ? 1 : 0)} µs` : `${(us / 1000).toFixed(1)} ms`)

document.documentElement.classList.add("scripted")
setInterval(() => { if (!told && held[scheme()]?.until) tick() }, 1000)
show()
// A cookie of before is still the browser's.
const cookie = await fetch("/trace", { credentials: "same-origin", cache: "no-store" })
if (cookie.ok && (await cookie.json()).scheme === "session") held.session = { cookie: true }
show()
if (location.pathname === "/callback") busy(arrive)()
else if (location.hash === "#oauth2") choose("oauth2")
