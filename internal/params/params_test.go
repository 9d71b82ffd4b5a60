package params

import (
	"net/http/httptest"
	"strings"
	"testing"
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
