// Package same compares values of any type, to find out whose optional methods a value has: a type
// that embeds another one has its methods too.
package same

import "reflect"

// Value reports whether a and b are the same value of one type. Nil is no value. It never panics:
// values that cannot be compared are not the same.
func Value(a, b any) bool {
	if a == nil || reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
