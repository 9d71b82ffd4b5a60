import { api } from "./api.js"

const element = (id) => document.getElementById(id)

function show(user, notes) {
	const changed = element("login").hidden === (user === null)
	element("login").hidden = user !== null
	element("notes").hidden = user === null
	element("user").textContent = user?.username ?? ""
	// textContent, never innerHTML: a note must not become a script.
	element("list").replaceChildren(...notes.map((text) => {
		const item = document.createElement("li")
		item.textContent = text
		return item
	}))
	// What had the focus is hidden now, and the keyboard would begin at the top.
	if (changed) element(user === null ? "login" : "add").querySelector("input").focus()
}

async function refresh() {
	show(await api("GET", "/api/me"), await api("GET", "/api/notes"))
}

// attempt runs an action and shows its error. After a 401 the user is logged out; after a 503 the
// session is still valid.
async function attempt(action) {
	element("problem").textContent = ""
	try {
		await action()
	} catch (error) {
		if (error.status === 401) show(null, [])
		element("problem").textContent = error.message
	}
}

function onSubmit(id, action) {
	element(id).addEventListener("submit", (event) => {
		event.preventDefault()
		attempt(() => action(Object.fromEntries(new FormData(event.target)), event.target))
	})
}

onSubmit("login", async (fields, form) => {
	await api("POST", "/api/login", fields)
	form.reset()
	await refresh()
})
onSubmit("add", async (fields, form) => {
	await api("POST", "/api/notes", fields)
	form.reset()
	await refresh()
})
element("logout").addEventListener("click", () => attempt(async () => {
	await api("POST", "/api/logout")
	show(null, [])
}))

attempt(refresh).then(() => { element("problem").textContent = "" })
