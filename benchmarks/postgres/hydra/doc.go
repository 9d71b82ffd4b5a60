// Package hydra compares Vestibule's authorization server with Ory Hydra, on one PostgreSQL that it
// starts with fsync on. Hydra is built from the Go module proxy. It needs Linux.
package hydra
