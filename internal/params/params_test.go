package params

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBounds(t *testing.T) {
	for n, want := range map[int]bool{1: true, Most: true, Most + 1: false} {
		text := strings.Repeat("a&", n-1) + "next=/x"
		v, err := Parse(text)
		if (err == nil) != want || want && v.Get("next") != "/x" {
			t.Errorf("%d parameters: %v", n, err)
		}
		r := httptest.NewRequest("GET", "/?"+text, nil)
		if got := Query(r).Get("next") == "/x"; got != want {
			t.Errorf("a query of %d: %t", n, got)
		}
	}
	r := httptest.NewRequest("GET", "/?next=/x&a=", nil)
	r.URL.RawQuery += strings.Repeat("x", MaxQuery)
	if v := Query(r); len(v) != 0 {
		t.Errorf("a long query has %d parameters", len(v))
	}
}

func TestBody(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 4097, 10000} {
		text := strings.Repeat("x", n)
		for _, length := range []int64{int64(n), -1, int64(n) - 1, int64(n) + 1, 0, 1 << 60} {
			if got, err := Body(iotest.HalfReader(strings.NewReader(text)), length); err != nil || string(got) != text {
				t.Errorf("%d bytes, announced %d: %d, %v", n, length, len(got), err)
			}
		}
	}
	// What the client did not send to the end is an error, as every other fault is.
	for _, fault := range []error{io.ErrUnexpectedEOF, io.ErrClosedPipe} {
		if got, err := Body(io.MultiReader(strings.NewReader("text"), iotest.ErrReader(fault)), 10); !errors.Is(err, fault) || got != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}
