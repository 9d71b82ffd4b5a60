// Package style has the style sheet of the HTML pages that the library writes: login, consent,
// devices, grants, logout and errors.
package style

import "net/http"

// Element is the style element of every page. It needs no script and loads nothing, so it works
// with the Content-Security-Policy "default-src 'none'; style-src 'unsafe-inline'". The colors
// follow the user's light or dark mode; a test computes their contrast.
const Element = `<style>` + sheet + `</style>`

// Page returns the text of a page: title and body are HTML or parts of a template. The title is also
// the heading. class is the class of the main element, such as "narrow", or "".
func Page(class, title, body string) string {
	main := "<main>"
	if class != "" {
		main = `<main class="` + class + `">`
	}
	return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>` + title + `</title>
` + Element + `
` + main + `
<h1>` + title + `</h1>
` + body + `</main>
</html>
`
}

// ErrorTitle returns the title of the page for an error with this status.
func ErrorTitle(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "Log in first"
	case http.StatusForbidden:
		return "Access denied"
	case http.StatusNotFound:
		return "Page not found"
	case http.StatusTooManyRequests:
		return "Too many requests"
	case http.StatusServiceUnavailable:
		return "Try again later"
	}
	return "Something went wrong"
}

const sheet = `
	:root {
		color-scheme: light dark;
		--paper: #faf8f4; --panel: #ffffff; --ink: #1f1e1b; --soft: #625e56; --line: #e2ddd3; --edge: #8a857a;
		--accent: #0b5f5a; --on-accent: #ffffff; --bad: #a3271d; --bad-panel: #fdf0ee; --note-panel: #fff4d6;
	}
	@media (prefers-color-scheme: dark) {
		:root {
			--paper: #161715; --panel: #1e201d; --ink: #e9e6de; --soft: #aaa599; --line: #34362f; --edge: #7d8075;
			--accent: #7ccfc4; --on-accent: #0d2321; --bad: #ff9a8d; --bad-panel: #33201d; --note-panel: #37301a;
		}
	}
	* { box-sizing: border-box }
	html { -webkit-text-size-adjust: 100% }
	body { margin: 0; padding: min(12vh, 6rem) 1rem 2rem; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere }
	main { max-width: 27rem; margin: 0 auto; padding: 2rem; background: var(--panel); border: 1px solid var(--line); border-radius: 12px }
	main.narrow { max-width: 22rem }
	h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem }
	h1, h2, strong { unicode-bidi: isolate }
	h2 { font-size: 1.1rem; margin: 0 }
	p, ul { margin: 0 0 1rem }
	ul { padding-left: 1.25rem }
	main > :last-child, section > :last-child { margin-bottom: 0 }
	a { color: var(--accent) }
	code { font-size: .9em }
	.soft { color: var(--soft); font-size: .9rem }
	.note, [role=alert] { padding: .7rem .9rem; border-radius: 8px; background: var(--note-panel) }
	[role=alert] { background: var(--bad-panel); color: var(--bad) }
	form + p { margin-top: 1.25rem }
	section { border-top: 1px solid var(--line); margin-top: 1.5rem; padding-top: 1.5rem }
	label { display: block; font-weight: 600 }
	input { font: inherit; color: inherit }
	label input { display: block; width: 100%; min-height: 2.75rem; margin: .3rem 0 1.1rem; padding: .5rem .75rem; font-weight: 400; background: var(--paper); border: 1px solid var(--edge); border-radius: 8px }
	input[aria-invalid] { border-color: var(--bad); border-width: 2px }
	input.code { text-transform: uppercase; letter-spacing: .12em; font-family: ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, monospace }
	.check { display: flex; align-items: center; gap: .6rem; min-height: 1.5rem; margin-bottom: 1.1rem; font-weight: 400 }
	.check input { width: 1.15rem; min-height: 0; height: 1.15rem; margin: 0; accent-color: var(--accent) }
	.buttons { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.5rem }
	button { flex: 1 0 auto; max-width: 100%; min-height: 2.75rem; padding: .5rem 1.1rem; font: inherit; font-weight: 600; color: var(--ink); background: transparent; border: 1px solid var(--edge); border-radius: 8px; cursor: pointer }
	button.main { color: var(--on-accent); background: var(--accent); border-color: var(--accent) }
	button.end { flex: none; color: var(--bad); border-color: var(--bad) }
	button:hover { text-decoration: underline }
	:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
	.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
	@media (max-width: 30rem) {
		body { padding: 1rem .75rem 2rem }
		main, main.narrow { max-width: none; padding: 1.5rem 1.1rem }
	}
`
