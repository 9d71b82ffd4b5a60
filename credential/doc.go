// Package credential is the toolkit for authentication schemes: the parts that every scheme
// needs and that are easy to get wrong. The schemes of this module are built from it, and a
// scheme of your own can be too (see docs/new-scheme.md).
//
//   - [Format] makes and checks token texts with a prefix and a checksum. Start here:
//     NewFormat, then Format.New to create a token and Format.Valid to check one.
//   - [Header] reads tokens from the Authorization header, claims them in a chain and builds
//     the challenge.
//   - [Secret] holds a secret and prints as "[redacted]"; [MAC] and storage.DigestOf turn
//     secrets into what a store may keep.
//   - [CheckAccount] rejects records whose account is disabled or was logged out everywhere.
//   - [EndSurplus] ends the oldest credentials of a user who has too many.
//   - Package credential/rotation exchanges refresh tokens, with a grace period and reuse
//     detection.
//
// Package authn/login has the login endpoint, package authn/audit the events.
package credential
