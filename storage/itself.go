package storage

import "reflect"

// Itself reports whether the optional methods that v has are its own. A type that embeds a store
// or an account has their optional methods too, and they would bypass the methods that it
// overrides; but its Itself returns the embedded value. A type that means to have the optional
// methods returns itself. Itself reports true for a v without a method Itself.
func Itself(v any) bool {
	i, ok := v.(interface{ Itself() any })
	if !ok {
		return true
	}
	own := i.Itself()
	return own != nil && reflect.TypeOf(own) == reflect.TypeOf(v) && reflect.ValueOf(v).Comparable() && reflect.ValueOf(own).Comparable() && own == v
}
