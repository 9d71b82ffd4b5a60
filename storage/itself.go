package storage

// Itself reports whether the optional methods of v are its own. A type that embeds a store or an
// account inherits its optional methods, which would bypass the methods that the type overrides.
// Its inherited method Itself returns the embedded value, so Itself(v) is false. To offer the
// optional methods, a type returns itself. If v has no method Itself, the result is true.
func Itself(v any) bool {
	i, ok := v.(interface{ Itself() any })
	if !ok {
		return true
	}
	return equal(i.Itself(), v)
}
