// An independent client, npm's jose: it verifies our access tokens by our JWKS, and
// makes keys and tokens of its own for us to verify.
//
//   node client.mjs verify JWKS_URL ISSUER AUDIENCE TOKEN   prints the payload
//   node client.mjs make ISSUER AUDIENCE                    prints {jwks, tokens}
import { createRequire } from "node:module"
import { webcrypto } from "node:crypto"
globalThis.crypto ??= webcrypto
const jose = createRequire(process.cwd() + "/")("jose")

const [command, ...args] = process.argv.slice(2)
if (command === "verify") {
	const [url, issuer, audience, token] = args
	const keys = jose.createRemoteJWKSet(new URL(url))
	const { payload, protectedHeader } = await jose.jwtVerify(token, keys, { issuer, audience, typ: "at+jwt", requiredClaims: ["exp", "iat", "sub", "jti"] })
	console.log(JSON.stringify({ payload, protectedHeader }))
} else {
	const [issuer, audience] = args
	const jwks = { keys: [] }
	const tokens = {}
	for (const alg of ["ES256", "ES384", "ES512", "EdDSA", "RS256", "RS512", "PS256", "PS384"]) {
		const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true })
		jwks.keys.push({ ...(await jose.exportJWK(publicKey)), kid: "kid-" + alg, alg, use: "sig" })
		tokens[alg] = await new jose.SignJWT({ scope: "notes:read" })
			.setProtectedHeader({ alg, kid: "kid-" + alg, typ: "at+jwt" })
			.setIssuer(issuer).setAudience(audience).setSubject("user-7").setJti("jti-" + alg).setIssuedAt().setExpirationTime("5m")
			.sign(privateKey)
	}
	console.log(JSON.stringify({ jwks, tokens }))
}
