//go:build linux

package growth

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	r := &Results{Rounds: 3, Samples: []*Sample{
		{Tokens: 10_000, Bytes: 4e6, P50: []float64{100, 100, 200}, P99: []float64{300, 300, 300}},
		{Tokens: 1_000_000, Bytes: 4e8, P50: []float64{110, 125, 400}, P99: []float64{400, 500, 600}},
	}}
	dir := t.TempDir()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	again, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	page := again.markdown()
	for _, want := range []string{"Measured: 1.25 (met)", "| 1,000,000 | 125 µs | 500 µs | 110 µs | 1.25 (1.10–2.00) | 400 MB | 400 |"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	r.Samples[1].P50 = []float64{131, 131, 270}
	if page := r.markdown(); !strings.Contains(page, "Measured: 1.31 (missed)") {
		t.Error(page)
	}
}
