package cached

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/vestibule-auth/vestibule/storage"
)

// Parts is a cache over stores that have only some of the interfaces of package storage, such as
// sessions in Redis and accounts in PostgreSQL. Create it with [NewParts] and get its interfaces
// with [Part].
type Parts struct {
	Invalidator
	s *Store
}

// NewParts returns a cache over any stores. Each interface comes from the first store that
// implements it. For a store that implements everything use [New].
//
// Pass every store whose changes affect cached records, above all the store with the accounts. The
// cache does not notice a change that bypasses it until the TTL has passed or you call
// InvalidateSubject.
//
// At most one of the stores can have transactions. It also needs a method
// InTransaction(context.Context) bool, so that the cache knows which calls belong to a transaction.
// Options.Tell requires such a store. NewParts returns an error if these conditions are not met, if
// the stores have different name spaces, or if an option is out of range.
func NewParts(opts *Options, stores ...any) (*Parts, error) {
	p := new(partial)
	if err := p.fill(stores); err != nil {
		return nil, err
	}
	if opts != nil && opts.Tell != nil && p.tx == nil {
		return nil, errors.New("cached: NewParts: Options.Tell requires a store with transactions")
	}
	s, err := New(p, opts)
	if err != nil {
		return nil, err
	}
	return &Parts{s, s}, nil
}

// Usage returns the size of the cache; see [Store.Usage].
func (c *Parts) Usage() Usage { return c.s.Usage() }

// UsageOf returns the size of the entries of one kind; see [Store.UsageOf].
func (c *Parts) UsageOf(kind Kind) Usage { return c.s.UsageOf(kind) }

// Track prepares a transaction of the application; see [Store.Track].
func (c *Parts) Track(ctx context.Context) (tracked context.Context, done func()) {
	return c.s.Track(ctx)
}

// Part returns one interface of c's stores with the cache in front. P is an interface of package
// storage. The value has only the methods of P, so type assertions do not find interfaces that the
// stores lack. If a scheme needs several interfaces, embed them in a struct:
//
//	sessions, err := cached.Part[storage.Sessions](c)
//	list, err := cached.Part[storage.SessionList](c)
//	browsers, err := session.New(struct {
//		storage.Sessions
//		storage.SessionList
//	}{sessions, list}, site, nil)
//
// It returns an error if no store implements P.
func Part[P any](c *Parts) (part P, err error) {
	s, p := c.s, c.s.base.(*partial)
	has := true
	switch out := any(&part).(type) {
	case *storage.Users:
		*out, has = struct{ storage.Users }{s}, p.Users != nil
	case *storage.LiveUsers:
		*out, has = struct{ storage.LiveUsers }{s}, p.Users != nil
	case *storage.Accounts:
		*out, has = struct{ storage.Accounts }{s}, p.Accounts != nil
	case *storage.Subjects:
		*out, has = struct{ storage.Subjects }{s}, p.Subjects != nil
	case *storage.Permissions:
		*out, has = struct{ storage.Permissions }{s}, p.Permissions != nil
	case *storage.PermissionChecker:
		*out, has = struct{ storage.PermissionChecker }{s}, p.Permissions != nil
	case *storage.StaticTokens:
		*out, has = struct{ storage.StaticTokens }{s}, p.StaticTokens != nil
	case *storage.Credentials:
		*out, has = struct{ storage.Credentials }{s}, p.Credentials != nil
	case *storage.CredentialList:
		*out, has = struct{ storage.CredentialList }{s}, p.CredentialList != nil
	case *storage.Sessions:
		*out, has = struct{ storage.Sessions }{s}, p.Sessions != nil
	case *storage.SessionList:
		*out, has = struct{ storage.SessionList }{s}, p.SessionList != nil
	case *storage.Families:
		*out, has = struct{ storage.Families }{s}, p.Families != nil
	case *storage.Blocklist:
		*out, has = struct{ storage.Blocklist }{s}, p.Blocklist != nil
	case *storage.SigningKeys:
		*out, has = struct{ storage.SigningKeys }{s}, p.SigningKeys != nil
	case *storage.OneTimeTokens:
		*out, has = struct{ storage.OneTimeTokens }{s}, p.OneTimeTokens != nil
	case *storage.Clients:
		*out, has = struct{ storage.Clients }{s}, p.Clients != nil
	case *storage.Codes:
		*out, has = struct{ storage.Codes }{s}, p.Codes != nil
	case *storage.AccessTokens:
		*out, has = struct{ storage.AccessTokens }{s}, p.AccessTokens != nil
	case *storage.AuthRequests:
		*out, has = struct{ storage.AuthRequests }{s}, p.AuthRequests != nil
	case *storage.DeviceGrants:
		*out, has = struct{ storage.DeviceGrants }{s}, p.DeviceGrants != nil
	case *storage.Attempts:
		*out, has = struct{ storage.Attempts }{s}, p.Attempts != nil
	case *storage.Consents:
		*out, has = struct{ storage.Consents }{s}, p.Consents != nil
	case *storage.Factors:
		*out, has = struct{ storage.Factors }{s}, p.Factors != nil
	case *storage.Links:
		*out, has = struct{ storage.Links }{s}, p.Links != nil
	case *storage.Replays:
		*out, has = struct{ storage.Replays }{s}, p.Replays != nil
	case *storage.Pruner:
		*out, has = struct{ storage.Pruner }{s}, p.Pruner != nil
	case *storage.Transactor:
		*out, has = struct{ storage.Transactor }{s}, p.tx != nil
	case *storage.AuditLog:
		*out, has = struct{ storage.AuditLog }{s}, s.KeepsAudit()
	case *storage.Spaced:
		*out, has = struct{ storage.Spaced }{s}, p.space != ""
	default:
		return part, fmt.Errorf("cached: Part: %v is not a single interface of package storage", reflect.TypeFor[P]())
	}
	if !has {
		var none P
		return none, fmt.Errorf("cached: Part: none of the stores implements %v", reflect.TypeFor[P]())
	}
	return part, nil
}

// partial is a Base whose parts come from several stores. A part that no store has is nil, and Part
// does not return it.
type partial struct {
	storage.Users
	storage.Accounts
	storage.Subjects
	storage.Permissions
	storage.StaticTokens
	storage.Credentials
	storage.CredentialList
	storage.Sessions
	storage.SessionList
	storage.Families
	storage.Blocklist
	storage.SigningKeys
	storage.OneTimeTokens
	storage.Clients
	storage.Codes
	storage.AccessTokens
	storage.AuthRequests
	storage.DeviceGrants
	storage.Attempts
	storage.Consents
	storage.Factors
	storage.Links
	storage.Replays
	storage.Pruner

	tx     transactions // nil if no store has transactions
	space  string
	stores []any
}

// transactions is what the cache requires of a store with transactions.
type transactions interface {
	storage.Transactor
	InTransaction(ctx context.Context) bool
}

// fill sets each part to the first store that implements it.
func (p *partial) fill(stores []any) error {
	found := false
	for _, s := range stores {
		if s == nil {
			return errors.New("cached: NewParts: store is nil")
		}
		v := reflect.ValueOf(p).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); v.Type().Field(i).Anonymous && reflect.TypeOf(s).Implements(f.Type()) {
				if found = true; f.IsNil() {
					f.Set(reflect.ValueOf(s))
				}
			}
		}
		if _, ok := s.(storage.Transactor); ok {
			tx, ok := s.(transactions)
			switch {
			case !ok:
				return fmt.Errorf("cached: NewParts: %T has InTx but no method InTransaction(context.Context) bool", s)
			case p.tx != nil:
				return fmt.Errorf("cached: NewParts: %T and %T both have transactions (at most one store can)", p.tx, s)
			}
			p.tx = tx
		}
		if space := storage.SpaceOf(s); space != "" {
			if p.space != "" && p.space != space {
				return fmt.Errorf("cached: NewParts: stores have different name spaces, %q and %q", p.space, space)
			}
			p.space = space
		}
	}
	if !found {
		return errors.New("cached: NewParts: no store implements an interface of package storage")
	}
	p.stores = stores
	return nil
}

// InTx implements storage.Transactor.
func (p *partial) InTx(ctx context.Context, fn func(context.Context) error) error {
	if p.tx == nil {
		return errors.New("cached: InTx: no store has transactions")
	}
	return p.tx.InTx(ctx, fn)
}

// InTransaction reports whether ctx carries a transaction of the store with transactions.
func (p *partial) InTransaction(ctx context.Context) bool {
	return p.tx != nil && p.tx.InTransaction(ctx)
}

// Space returns the name space of the stores.
func (p *partial) Space() string { return p.space }

// Ping calls Ping of each store that has it.
func (p *partial) Ping(ctx context.Context) error {
	var errs []error
	for _, s := range p.stores {
		if s, ok := s.(interface{ Ping(context.Context) error }); ok {
			errs = append(errs, s.Ping(ctx))
		}
	}
	return errors.Join(errs...)
}

// answers reports whether store is s, or a value that only forwards calls to s: a value that Part
// returned, or an unnamed struct that embeds such values. A named type could have its own methods,
// so it does not count.
func (s *Store) answers(store any) bool {
	if other, ok := store.(*Store); ok {
		return other == s
	}
	v := reflect.ValueOf(store)
	if v.Kind() != reflect.Struct || v.Type().Name() != "" || v.NumField() == 0 {
		return false
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if !v.Type().Field(i).Anonymous || f.Kind() != reflect.Interface || f.IsNil() || !f.CanInterface() || !s.answers(f.Interface()) {
			return false
		}
	}
	return true
}
