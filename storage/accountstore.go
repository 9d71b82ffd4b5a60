package storage

import "reflect"

// AccountSource is a store, or a wrapper of a store, that reports where its accounts are. Implement
// it in a wrapper that hides its underlying store. A type that embeds a store needs no method of
// its own.
type AccountSource interface {
	// AccountStore returns the value that identifies the store of the accounts, such as a pointer
	// to it. The value must be comparable. Stores with the same accounts return equal values.
	AccountStore() any
}

// maxWrapped is the maximum number of wrappers around a store.
const maxWrapped = 16

// AccountStoreOf returns the value that identifies the accounts of a store; see [AccountSource]. It
// looks through two kinds of wrappers: types that implement AccountSource, and structs that embed a
// store. For a store that reports nothing it returns the store itself, and for nil it returns nil.
func AccountStoreOf(store any) any {
	if found := accountStore(store, maxWrapped); found != nil {
		return found
	}
	return store
}

// SameAccounts reports whether two stores are known to have the same accounts, so that one subject
// is the same account in both. Use it before you act in one store for an identity of another store:
// without name spaces ([Spaced]), an ID can belong to different accounts. It returns false if a
// store is nil, and for two stores that were opened on different connections.
func SameAccounts(a, b any) bool { return equal(AccountStoreOf(a), AccountStoreOf(b)) }

// accountStore returns what store reports, or nil if it reports nothing.
func accountStore(store any, depth int) any {
	if depth == 0 || store == nil {
		return nil
	}
	if s, ok := store.(AccountSource); ok {
		own := s.AccountStore()
		if equal(own, store) {
			return store
		}
		if inner := accountStore(own, depth-1); inner != nil {
			return inner
		}
		return own
	}
	return embedded(store, depth)
}

// embedded returns what the stores report that a struct embeds, or nil if they report nothing or
// do not agree.
func embedded(store any, depth int) (found any) {
	v := reflect.ValueOf(store)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if k := f.Type.Kind(); !f.Anonymous || !f.IsExported() || k != reflect.Interface && k != reflect.Pointer || v.Field(i).IsNil() {
			continue
		}
		switch inner := accountStore(v.Field(i).Interface(), depth-1); {
		case inner == nil:
		case found != nil && !equal(found, inner):
			return nil
		default:
			found = inner
		}
	}
	return found
}

// equal reports whether a and b are the same value. It never panics: values that cannot be compared
// are not the same.
func equal(a, b any) bool {
	if a == nil || reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
