package rotation

import (
	"errors"
	"testing"
	"time"
)

func from(secret, source string) Use {
	u := use(secret)
	u.Source = source
	return u
}

// After the result of an exchange was used, only the client address of the exchange gets the
// response again.
func TestUsedNarrows(t *testing.T) {
	for name, c := range map[string]struct {
		used   func(w *world) error
		source string
		want   error
	}{
		"not_used":        {func(w *world) error { return nil }, "thief", nil},
		"used_same":       {func(w *world) error { return w.Used(t.Context(), "f", w.clock(), w.clock()) }, "home", nil},
		"used_other":      {func(w *world) error { return w.Used(t.Context(), "f", w.clock(), w.clock()) }, "thief", ErrReused},
		"used_unknown":    {func(w *world) error { return w.Used(t.Context(), "f", w.clock(), w.clock()) }, "", ErrReused},
		"older_token":     {func(w *world) error { return w.Used(t.Context(), "f", w.clock().Add(-3*slack), w.clock()) }, "thief", nil},
		"other_family":    {func(w *world) error { return w.Used(t.Context(), "g", w.clock(), w.clock()) }, "thief", nil},
		"without_family":  {func(w *world) error { return w.Used(t.Context(), "", w.clock(), w.clock()) }, "thief", nil},
		"long_after_made": {func(w *world) error { return w.Used(t.Context(), "f", w.clock().Add(-time.Hour), w.clock()) }, "thief", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 10*time.Second)
			w.begin(t, "f")
			w.pass(time.Minute)
			first, _, err := w.next(from("f-0", "home"))
			must(t, err)
			w.pass(time.Second)
			must(t, c.used(w))
			again, res, err := w.next(from("f-0", c.source))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && (again != first || !res.Repeated) {
				t.Errorf("another answer: %q", again)
			}
			if _, _, err := w.next(use(first)); (err == nil) != (c.want == nil) {
				t.Errorf("the family, afterwards: %v", err)
			}
		})
	}
}

// A use is reported once per token, and again after an error.
func TestUsedOnce(t *testing.T) {
	w := newWorld(t, 10*time.Second)
	w.begin(t, "f")
	if _, _, err := w.next(from("f-0", "home")); err != nil {
		t.Fatal(err)
	}
	at := w.clock()
	if !w.first("f", at) || w.first("f", at) || w.first("f", at.Add(-1)) || !w.first("f", at.Add(1)) {
		t.Error("it is told for a newer token alone")
	}
	w.forget("f")
	if !w.first("f", at) {
		t.Error("not told again after a failure")
	}
	for i := range 3 * remembered {
		w.first(string(rune('a'+i%26))+time.Duration(i).String(), at)
	}
	if len(w.used) > remembered {
		t.Errorf("%d families are remembered", len(w.used))
	}
}

// Two unknown addresses, such as behind a Unix socket whose proxy is not trusted, do not count as
// equal. After the first use of the response, no unknown address gets it again. Before that, a lost
// response is repeated.
func TestUnknownSources_attack_370(t *testing.T) {
	for _, source := range []string{"", "home"} {
		w := newWorld(t, 10*time.Second)
		w.begin(t, "f")
		w.pass(time.Minute)
		first, _, err := w.next(from("f-0", source))
		must(t, err)
		if again, _, err := w.next(from("f-0", source)); err != nil || again != first {
			t.Errorf("%q: a lost answer: %v", source, err)
		}
		must(t, w.Used(t.Context(), "f", w.clock(), w.clock()))
		_, _, err = w.next(from("f-0", source))
		if want := map[string]error{"": ErrReused}[source]; !errors.Is(err, want) {
			t.Errorf("%q, after its use: got %v, want %v", source, err, want)
		}
		if _, _, err := w.next(from(first, source)); errors.Is(err, ErrRevoked) != (source == "") {
			t.Errorf("%q: the family: %v", source, err)
		}
	}
}
