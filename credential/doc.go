// Package credential is a toolkit for authentication schemes. It contains the parts that every
// scheme needs and that are easy to get wrong. The schemes of this module use it, and your own
// schemes can use it too (see docs/new-scheme.md).
//
//   - [Format] creates and checks tokens with a prefix and a checksum. Start with [NewFormat], then
//     call Format.New to create a token and Format.Valid to check one.
//   - [Header] reads tokens from the Authorization header, declares them in a chain and builds the
//     challenge.
//   - [Secret] is a secret that prints as "[redacted]". [MAC] and storage.DigestOf return the
//     values of secrets that can be stored.
//   - [CheckAccount] rejects credentials of an account that is disabled or logged out everywhere.
//   - [EndSurplus] revokes the oldest credentials of a user that has too many.
//   - Package credential/rotation exchanges refresh tokens, with a grace period and reuse
//     detection.
//
// Package authn/login contains the login endpoint, and package authn/audit the events.
package credential
