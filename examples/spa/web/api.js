// The origin of the API; "" if it is that of this page. A front end with a host of its own sets it:
// <html data-api="https://app.example">.
const base = document.documentElement.dataset.api ?? ""

export class APIError extends Error {
	constructor(status, message) {
		super(message)
		this.status = status
	}
}

// api sends a request with a JSON body and returns the decoded answer. The session cookie is
// HttpOnly: the browser attaches it, and no script can read it.
export async function api(method, path, body) {
	const request = { method, credentials: "include" } // "include" also for another origin
	if (body !== undefined) {
		request.headers = { "Content-Type": "application/json" }
		request.body = JSON.stringify(body)
	}
	const response = await fetch(base + path, request)
	const text = await response.text()
	const answer = text === "" ? null : JSON.parse(text)
	if (!response.ok) throw new APIError(response.status, answer?.detail ?? "Please check what you entered.")
	return answer
}
