// A browser without a screen, for the clients of these tests: alice, who allows what she is asked.
export const visitor = (base) => {
	// The browser: logs in, goes to a page without following it further, and answers the form.
	let cookie = ""
	const browser = async (url, form) => {
		const response = await fetch(new URL(url, base), {
			method: form ? "POST" : "GET", redirect: "manual", body: form && new URLSearchParams(form),
			headers: { Cookie: cookie, Origin: base, "Sec-Fetch-Site": "same-origin" },
		})
		for (const line of response.headers.getSetCookie()) cookie = /max-age=0/i.test(line) ? "" : line.split(";")[0]
		return { status: response.status, location: response.headers.get("location"), body: await response.text() }
	}
	const authorize = async (url) => {
		let page = await browser(url)
		if (page.location?.startsWith("/login")) {
			const next = new URL(page.location, base).searchParams.get("next")
			page = await browser("/login", { username: "alice", password: "wonderland-42", next })
			page = await browser(page.location)
		}
		if (page.location) return new URL(page.location)
		const handle = page.body.match(/name="handle" value="([^"]+)"/)[1]
		return new URL((await browser("/oauth2/authorize", { handle, decision: "allow" })).location)
	}
	return { browser, authorize }
}
