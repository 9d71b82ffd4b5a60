// Package postgres is the root of the benchmarks that need a PostgreSQL server of their own, with
// fsync on. They are a module of their own, because they start other programs and take minutes.
//
//   - Package hydra compares Vestibule's authorization server with Ory Hydra ("make bench-hydra").
//   - Package growth looks up device tokens in tables of different sizes ("make bench-growth").
//   - Package machine starts the programs, and reads what they cost.
package postgres
