package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
)

// begin returns when a call began, if anything receives calls.
func (s *Store) begin() (t time.Time) {
	if s.sink != nil && s.sink.StoreCall != nil {
		t = time.Now()
	}
	return t
}

// called reports a statement.
func (s *Store) called(ctx context.Context, begun time.Time, query string, err error) {
	if begun.IsZero() {
		return
	}
	took := time.Since(begun)
	c := observe.StoreCall{System: s.system(), Duration: took}
	c.Operation, c.Table = s.statement(query)
	c.Outcome, c.Status = outcomeOf(err)
	observe.MarkStored(ctx)
	s.sink.StoreCall(ctx, c)
}

// transacted reports a transaction. own is the error of its function: a transaction that the caller rolls
// back is no failure of the database.
func (s *Store) transacted(ctx context.Context, begun time.Time, err, own error) {
	if begun.IsZero() {
		return
	}
	c := observe.StoreCall{System: s.system(), Operation: "TRANSACTION", Duration: time.Since(begun)}
	if c.Outcome, c.Status = outcomeOf(err); own != nil {
		c.Outcome = observe.Answer
	}
	observe.MarkStored(ctx)
	s.sink.StoreCall(ctx, c)
}

func (s *Store) system() string {
	if s.dialect == postgres {
		return "postgresql"
	}
	return "sqlite"
}

// outcomeOf returns the outcome of a call, and the SQLSTATE of PostgreSQL.
func outcomeOf(err error) (o observe.StoreOutcome, status string) {
	if err == nil {
		return observe.OK, ""
	}
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		status = state.SQLState()
	}
	for _, answer := range [...]error{sql.ErrNoRows, context.Canceled, storage.ErrNotFound, storage.ErrConflict, storage.ErrStale, storage.ErrLimit, storage.ErrInvalid} {
		if errors.Is(err, answer) {
			return observe.Answer, status
		}
	}
	switch {
	case len(status) == 5 && status[:2] == "23", mayRetry(err): // a constraint; another transaction was first
		return observe.Answer, status
	case strings.Contains(err.Error(), "constraint failed"): // SQLite
		return observe.Answer, status
	}
	return observe.Fault, status
}

// verbs are the operations of statements.
var verbs = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}

// outside returns the index of the first part that is not within parentheses, or -1. A column can be a
// subquery with a table of its own.
func outside(text, part string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 && strings.HasPrefix(text[i:], part) {
			return i
		}
	}
	return -1
}

// statement returns the operation and the first table of a statement. Only names of the library are
// returned, because a table of the application may be named after a customer.
func (s *Store) statement(query string) (operation, table string) {
	operation, rest, _ := strings.Cut(query, " ")
	if !slices.Contains(verbs, operation) {
		return "OTHER", ""
	}
	before := " FROM "
	switch operation {
	case "INSERT":
		before = "INTO "
	case "UPDATE":
		before = ""
	}
	if i := outside(rest, before); i >= 0 {
		rest = rest[i+len(before):]
	} else if operation == "SELECT" {
		return operation, ""
	}
	name := word(rest)
	if name == "" { // a subquery
		if i := strings.Index(rest, "vestibule_"); i >= 0 {
			name = word(rest[i:])
		}
	}
	for _, list := range [...][]struct{ name, columns string }{tables, postgresTables} {
		for i := range list {
			if list[i].name == name {
				return operation, list[i].name
			}
		}
	}
	switch name {
	case "vestibule_users", "vestibule_migrations", "vestibule_bus_pending":
		return operation, name
	case s.users.source, s.users.Table:
		return operation, "accounts"
	}
	return operation, "other"
}

// word returns the name that s begins with.
func word(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && r != '.' && r != '"' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if i < 0 {
		return s
	}
	return s[:i]
}

// pruned reports deleted rows, and returns their number.
func (s *Store) pruned(table string, rows int64) int {
	if rows > 0 && s.sink != nil && s.sink.Pruned != nil {
		s.sink.Pruned(table, int(rows))
	}
	return int(rows)
}

// CourierName returns the name of the courier, for metrics.
func (p *Presence) CourierName() string { return p.courier }

// Lagged reports how long messages took. It is for couriers.
func (p *Presence) Lagged(d time.Duration) {
	if s := p.s.sink; s != nil && s.Bus != nil {
		s.Bus(observe.Bus{Event: observe.Lagged, Courier: p.courier, Lag: d})
	}
}
