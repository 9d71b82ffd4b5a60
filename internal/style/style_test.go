package style

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	variable = regexp.MustCompile(`(--[a-z-]+):\s*(#[0-9a-f]{3,6})\b`)
	use      = regexp.MustCompile(`var\((--[a-z-]+)\)`)
)

// modes returns the colors of a style sheet in light and in dark mode.
func modes(t *testing.T, sheet string) map[string]map[string]string {
	t.Helper()
	light, rest, ok := strings.Cut(sheet, "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("no dark mode")
	}
	dark, _, ok := strings.Cut(rest, "* {")
	if !ok {
		t.Fatal("no end of the dark mode")
	}
	all := map[string]map[string]string{"light": {}, "dark": {}}
	for name, part := range map[string]string{"light": light, "dark": dark} {
		for _, m := range variable.FindAllStringSubmatch(part, -1) {
			all[name][m[1]] = m[2]
		}
	}
	return all
}

// luminance returns the relative luminance of a color such as #fff or #a0b1c2 (WCAG 2.2).
func luminance(color string) (float64, error) {
	hex := strings.TrimPrefix(long(color), "#")
	if len(hex) != 6 {
		return 0, fmt.Errorf("no color: %q", color)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			return 0, err
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum, nil
}

// mixed returns the mix of two colors of six digits, as color-mix(in srgb, a percent%, b) does.
func mixed(t *testing.T, a, b string, percent int64) string {
	t.Helper()
	mix := "#"
	for i := 1; i < 7; i += 2 {
		x, err := strconv.ParseInt(long(a)[i:i+2], 16, 16)
		if err != nil {
			t.Fatal(err)
		}
		y, err := strconv.ParseInt(long(b)[i:i+2], 16, 16)
		if err != nil {
			t.Fatal(err)
		}
		mix += fmt.Sprintf("%02x", (x*percent+y*(100-percent))/100)
	}
	return mix
}

// long returns a color such as #fff with six digits.
func long(color string) string {
	if len(color) == 4 {
		return "#" + strings.Repeat(color[1:2], 2) + strings.Repeat(color[2:3], 2) + strings.Repeat(color[3:], 2)
	}
	return color
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, err := luminance(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := luminance(b)
	if err != nil {
		t.Fatal(err)
	}
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestContrastOfKnownColors(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{{"#000", "#ffffff", 21}, {"#777777", "#fff", 4.48}, {"#0000ff", "#fff", 8.59}} {
		if got := contrast(t, c.a, c.b); math.Abs(got-c.want) > 0.01 {
			t.Errorf("%s on %s: %.2f, want %.2f", c.a, c.b, got, c.want)
		}
	}
}

// Text has the contrast of WCAG 2.2 AA (1.4.3: 4.5), the edges of fields and the mark of the focus
// have that of 1.4.11 (3), in light and dark mode.
func TestContrast(t *testing.T) {
	compare, err := os.ReadFile("../../examples/compare/web/style.css")
	if err != nil {
		t.Fatal(err)
	}
	shared := [][2]string{
		{"ink", "paper"}, {"ink", "panel"}, {"soft", "paper"}, {"soft", "panel"}, {"accent", "panel"}, {"accent", "paper"}, {"on-accent", "accent"}, {"bad", "panel"},
	}
	edges := [][2]string{{"edge", "panel"}, {"edge", "paper"}, {"accent", "panel"}, {"accent", "paper"}, {"bad", "paper"}}
	for name, s := range map[string]struct {
		sheet string
		text  [][2]string
	}{
		"pages":            {sheet, append([][2]string{{"ink", "note-panel"}, {"bad", "bad-panel"}, {"accent", "note-panel"}}, shared...)},
		"examples/compare": {string(compare), append([][2]string{{"ink", "code"}, {"soft", "code"}, {"on-mark", "mark"}, {"good", "panel"}, {"good", "code"}, {"bad", "code"}, {"ink", "now"}, {"soft", "now"}}, shared...)},
	} {
		for mode, colors := range modes(t, s.sheet) {
			colors["--now"] = mixed(t, colors["--accent"], colors["--panel"], 9) // the column of the chosen scheme
			check := func(pairs [][2]string, least float64) {
				for _, p := range pairs {
					front, back := colors["--"+p[0]], colors["--"+p[1]]
					if got := contrast(t, front, back); got < least {
						t.Errorf("%s, %s: %s (%s) on %s (%s) has a contrast of %.2f, less than %.1f", name, mode, p[0], front, p[1], back, got, least)
					}
				}
			}
			check(s.text, 4.5)
			check(edges, 3)
			for _, m := range use.FindAllStringSubmatch(s.sheet, -1) {
				switch m[1] {
				case "--serif", "--sans", "--mono":
				default:
					if colors[m[1]] == "" {
						t.Errorf("%s, %s: %s has no color", name, mode, m[1])
					}
				}
			}
		}
	}
}

// A page loads nothing, and its style cannot end the element.
func TestElementLoadsNothing(t *testing.T) {
	for _, bad := range []string{"url(", "@import", "</"} {
		if strings.Contains(sheet, bad) {
			t.Errorf("the style has %q", bad)
		}
	}
}
