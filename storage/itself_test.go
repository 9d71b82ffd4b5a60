package storage_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

type self int

func (s *self) Itself() any { return s }

type embedding struct{ *self }

// holder has a type that can be compared, and values that cannot.
type holder struct{ held any }

func (h holder) Itself() any { return h }

type silent struct{}

func (silent) Itself() any { return nil }

func TestItself(t *testing.T) {
	for name, c := range map[string]struct {
		v    any
		want bool
	}{
		"no such method":           {1, true},
		"itself":                   {new(self), true},
		"embedded":                 {embedding{new(self)}, false},
		"a pointer to embedding":   {&embedding{new(self)}, false},
		"a value":                  {holder{1}, true},
		"a value of a list":        {holder{[]string{"a"}}, false},
		"nothing":                  {silent{}, false},
		"an account":               {&storage.Account{}, true},
		"a type with an account":   {struct{ *storage.Account }{&storage.Account{}}, false},
		"an account that is a nil": {(*storage.Account)(nil), true},
	} {
		if got := storage.Itself(c.v); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
