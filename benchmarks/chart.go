package benchmarks

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is horizontal bars of ratios, on a logarithmic scale, with whiskers from the least
// to the greatest.
type chart struct {
	title, axis string
	more        bool // more is better, else less
	groups      []barGroup
}

type barGroup struct {
	name string
	bars []bar
}

type bar struct {
	name  string
	ratio Ratio
	kind  string // a class of the style sheet: "ours", "cached", "floor", "peer"
}

// charts are the charts of all sections that were measured.
func (r *Results) charts() map[string]*chart {
	work := func(title, axis string, kinds ...Kind) *chart {
		c := &chart{title: title, axis: axis}
		for _, k := range kinds {
			for _, g := range r.groups("work") {
				if !strings.HasPrefix(g, string(k)+"/") {
					continue
				}
				list := r.group("work", g)
				b := base(list)
				if b == nil {
					continue
				}
				bars := barGroup{name: g}
				for _, s := range byRatio(list, b) {
					bars.bars = append(bars.bars, bar{s.Name, RatioOf(s, b), kindOf(s)})
				}
				c.groups = append(c.groups, bars)
			}
		}
		return c
	}
	all := map[string]*chart{
		"authenticate.svg": work("One prepared request", "time, as a multiple of the hand-written floor's", Authenticate),
		"endpoints.svg":    work("Login, refresh, revocation, authorization", "time, as a multiple of Vestibule's (of the floor's for authorization)", Login, Refresh, Revoke, Authorize),
	}
	if open := r.sample("gates", Open, Open); open != nil {
		c := &chart{title: "HTTP, each contender in its own process", axis: "requests per second, relative to a server that checks nothing", more: true}
		for _, g := range r.groups("gates") {
			bars := barGroup{name: g}
			for _, s := range r.group("gates", g) {
				if s != open {
					bars.bars = append(bars.bars, bar{s.Name, RatioOf(s, open), kindOf(s)})
				}
			}
			if bars.bars != nil {
				c.groups = append(c.groups, bars)
			}
		}
		all["http.svg"] = c
	}
	compare := &chart{title: "The comparison server", axis: "requests per second, relative to /api/open", more: true}
	django := &chart{title: "Compared with Django REST Framework", axis: "requests per second, or speed of only the authenticator, as a multiple of Django's", more: true}
	for _, s := range Schemes {
		one, two := barGroup{name: s}, barGroup{name: s}
		add := func(g *barGroup, name string, a, b *Sample, kind string) {
			if a != nil && b != nil {
				g.bars = append(g.bars, bar{name, RatioOf(a, b), kind})
			}
		}
		cached, uncached := r.sample("servers", CompareCached, s), r.sample("servers", CompareUncached, s)
		add(&one, "-cache 30s", cached, r.sample("servers", CompareCached, Open), "cached")
		add(&one, "-cache off", uncached, r.sample("servers", CompareUncached, Open), "ours")
		theirs, alone := r.sample("servers", DjangoServer, s), r.sample("alone", s, DjangoServer)
		add(&two, "requests/s, cached", cached, theirs, "cached")
		add(&two, "requests/s, uncached", uncached, theirs, "ours")
		add(&two, "alone, cached", alone, r.sample("alone", s, OursCached), "cached")
		add(&two, "alone, uncached", alone, r.sample("alone", s, OursSQLite), "ours")
		for c, g := range map[*chart]barGroup{compare: one, django: two} {
			if g.bars != nil {
				c.groups = append(c.groups, g)
			}
		}
	}
	if compare.groups != nil {
		all["compare.svg"] = compare
	}
	if django.groups != nil {
		all["django.svg"] = django
	}
	return all
}

func kindOf(s *Sample) string {
	switch {
	case strings.HasPrefix(s.Name, Floor):
		return "floor"
	case s.Module != "":
		return "peer"
	case s.Cached:
		return "cached"
	}
	return "ours"
}

// style has colours that can be read on white and on black.
const style = `<style>
text{font:12px system-ui,sans-serif;fill:#222}.title{font-size:15px;font-weight:600}.group{font-weight:600}.soft{fill:#666}.better{font-weight:600}
.grid{stroke:#ccc;stroke-width:1}.one{stroke:#888;stroke-width:1}.whisker{stroke:#222;stroke-width:1.2}.back{fill:#fff}
.ours{fill:#4f7fd1}.cached{fill:#1f9d6b}.floor{fill:#9a9a9a}.peer{fill:#c9834a}
@media(prefers-color-scheme:dark){text{fill:#ddd}.soft{fill:#999}.grid{stroke:#444}.one{stroke:#888}.whisker{stroke:#eee}.back{fill:#161616}.ours{fill:#6f9bea}.cached{fill:#3cc48d}.floor{fill:#888}.peer{fill:#d99a66}}
</style>`

const (
	chartWidth, left, right = 860, 190, 150
	rowHeight, top          = 19, 82
)

// colours are what they mean, in the order of the key.
var colours = []struct{ kind, text string }{
	{"floor", "written by hand"}, {"ours", "Vestibule"}, {"cached", "Vestibule, cached"}, {"peer", "a peer"},
}

// direction says where on the axis the better ones are.
func (c *chart) direction() string {
	if c.more {
		return "logarithmic scale; more is better →"
	}
	return "← less is better; logarithmic scale"
}

// svg draws it, with nothing that is loaded from elsewhere.
func (c *chart) svg() string {
	low, high := 1.0, 1.0
	rows, has := 0, make(map[string]bool)
	for _, g := range c.groups {
		rows += len(g.bars) + 1
		for _, b := range g.bars {
			has[b.kind] = true
			if b.ratio.Median > 0 {
				low, high = min(low, b.ratio.Min), max(high, b.ratio.Max)
			}
		}
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low)*2)/2), math.Pow(10, math.Ceil(math.Log10(high)*2)/2)
	if high == low {
		high = low * 10
	}
	x := func(v float64) float64 {
		return left + (chartWidth-left-right)*(math.Log(v)-math.Log(low))/(math.Log(high)-math.Log(low))
	}
	height := top + rows*rowHeight + 24
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWidth, height, html.EscapeString(c.title))
	p("%s", style)
	p(`<rect class="back" width="%d" height="%d"/>`, chartWidth, height)
	p(`<text class="title" x="12" y="22">%s</text>`, html.EscapeString(c.title))
	p(`<text class="soft" x="12" y="40">%s</text>`, html.EscapeString(c.axis))
	p(`<text class="better" x="%d" y="40" text-anchor="end">%s</text>`, chartWidth-12, c.direction())
	at := 12
	for _, k := range colours {
		if has[k.kind] {
			p(`<rect class="%s" x="%d" y="50" width="12" height="12" rx="2"/><text x="%d" y="60">%s</text>`, k.kind, at, at+18, k.text)
			at += 40 + 7*len(k.text)
		}
	}
	p(`<path class="whisker" fill="none" d="M%d 53V59M%d 56H%dM%d 53V59"/><text x="%d" y="60">least to greatest of the rounds</text>`, at, at, at+18, at+18, at+24)
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow(10, e)
			if v < low*0.999 || v > high*1.001 {
				continue
			}
			class := "grid"
			if v == 1 {
				class = "one"
			}
			p(`<line class="%s" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, class, x(v), x(v), top-8, height-20)
			p(`<text class="soft" x="%.1f" y="%d" text-anchor="middle">%g</text>`, x(v), height-6, math.Round(v*1000)/1000)
		}
	}
	y := top
	for _, g := range c.groups {
		p(`<text class="group" x="12" y="%d">%s</text>`, y+12, html.EscapeString(g.name))
		y += rowHeight
		for _, bar := range g.bars {
			p(`<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+12, html.EscapeString(bar.name))
			if bar.ratio.Median > 0 {
				from, to := x(1), x(bar.ratio.Median)
				if c.more { // the longest is the best
					from = x(low)
				}
				if from > to {
					from, to = to, from
				}
				p(`<rect class="%s" x="%.1f" y="%d" width="%.1f" height="12" rx="2"/>`, bar.kind, from, y+2, max(1.5, to-from))
				p(`<path class="whisker" fill="none" d="M%.1f %dV%dM%.1f %dH%.1fM%.1f %dV%d"/>`,
					x(bar.ratio.Min), y+5, y+11, x(bar.ratio.Min), y+8, x(bar.ratio.Max), x(bar.ratio.Max), y+5, y+11)
				p(`<text x="%d" y="%d">%s</text>`, chartWidth-right+10, y+12, html.EscapeString(bar.ratio.String()))
			}
			y += rowHeight
		}
	}
	p("</svg>")
	return b.String()
}
