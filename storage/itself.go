package storage

// Itself reports whether the optional methods of v are its own. A type that embeds a store or an
// account inherits the optional methods of the embedded value. They would bypass the methods that
// the type overrides. The type also inherits the method Itself, which returns the embedded value
// and not v, so the result is false. To offer the optional methods, a type has a method Itself that
// returns the type's own value. If v has no method Itself, the result is true.
func Itself(v any) bool {
	i, ok := v.(interface{ Itself() any })
	if !ok {
		return true
	}
	return equal(i.Itself(), v)
}
