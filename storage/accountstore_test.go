package storage_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// home is a store that reports itself.
type home struct{ storage.Subjects }

func (h *home) AccountStore() any { return h }

// wrapper reports nothing; it embeds the interfaces of stores.
type wrapper struct {
	storage.Users
	storage.Subjects
}

type (
	users   struct{ storage.Users }    // a store that reports nothing
	keeper  struct{ at any }           // a wrapper that hides its store and reports it
	loop    struct{ storage.Subjects } // reports another wrapper each time
	pointer struct{ *home }
	list    []int
	// elsewhere has users, and reports another store.
	elsewhere struct {
		storage.Users
		at any
	}
)

func (k keeper) AccountStore() any    { return k.at }
func (e elsewhere) AccountStore() any { return e.at }
func (l loop) AccountStore() any      { return &loop{l} }

func TestAccountStoreOf(t *testing.T) {
	a, b := &home{}, &home{}
	u := &users{}
	for name, x := range map[string]struct {
		store, want any
	}{
		"nil": {nil, nil}, "itself": {a, a}, "reports nothing": {u, u}, "a method": {keeper{a}, a}, "two methods": {keeper{keeper{a}}, a}, "of nothing": {keeper{u}, u},
		"embedded": {&wrapper{nil, a}, a}, "embedded twice": {wrapper{nil, wrapper{nil, a}}, a}, "promoted": {pointer{a}, a}, "in a method": {keeper{&wrapper{nil, a}}, a},
		"beside one that reports nothing": {wrapper{u, a}, a},
	} {
		if got := storage.AccountStoreOf(x.store); got != x.want {
			t.Errorf("%s: %T, want %T", name, got, x.want)
		}
	}
	differ := &wrapper{elsewhere{at: b}, a}
	type two struct {
		storage.Subjects
		Users *home
	}
	for name, x := range map[string]struct {
		a, b any
		same bool
	}{
		"one": {a, a, true}, "wrapped": {keeper{a}, &wrapper{nil, a}, true}, "a field is not embedded": {two{a, b}, a, true},
		"two": {a, b, false}, "two wrapped": {keeper{a}, keeper{b}, false}, "nil": {nil, nil, false}, "one is nil": {a, nil, false}, "a method returns nil": {keeper{}, keeper{}, true},
		"two types": {a, u, false}, "cannot be compared": {list{1}, list{1}, false}, "without an end": {loop{}, loop{}, false}, "they differ": {differ, a, false}, "they differ, and it is itself": {differ, differ, true},
	} {
		if got := storage.SameAccounts(x.a, x.b); got != x.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}
