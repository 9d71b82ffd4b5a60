package benchmarks

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is a target of speed and what was measured.
type Verdict struct {
	Target, Measured string
	// State is "met", "missed", or "–" where it was not measured.
	State string
}

func verdict(target string, r Ratio, met func(float64) bool, more string) Verdict {
	v := Verdict{Target: target, Measured: r.String() + more, State: "–"}
	if r.Median > 0 {
		v.State = "missed"
		if met(r.Median) {
			v.State = "met"
		}
	}
	return v
}

// Verdicts says of each target whether the medians meet it.
func (r *Results) Verdicts() []Verdict {
	var list []Verdict
	most := func(f float64) func(float64) bool { return func(x float64) bool { return x <= f } }
	least := func(f float64) func(float64) bool { return func(x float64) bool { return x >= f } }
	against := func(a, b *Sample) Ratio {
		if a == nil || b == nil {
			return Ratio{}
		}
		return RatioOf(a, b)
	}
	for _, s := range Schemes {
		g := string(Authenticate) + "/" + s
		cached, floor := r.sample("work", g, OursCached), r.sample("work", g, Floor)
		v := verdict(s+", cached, six schemes and a guard: ≤ 1.5 × the floor", against(cached, floor), most(1.5), "")
		list = append(list, v)
		v = Verdict{Target: s + ", cached: ≤ 2 allocations more than the floor", Measured: "–", State: "–"}
		if cached != nil && floor != nil {
			more := cached.Allocs - floor.Allocs
			v.Measured, v.State = fmt.Sprintf("%+.0f", more), "missed"
			if more < 2.5 {
				v.State = "met"
			}
		}
		list = append(list, v)
	}
	for _, s := range Schemes {
		want := 0.95
		if s == "basic" {
			want = 0.9
		}
		list = append(list, verdict(fmt.Sprintf("%s, -cache 30s over HTTP: ≥ %.0f %% of /api/open", s, want*100),
			against(r.sample("servers", CompareCached, s), r.sample("servers", CompareCached, Open)), least(want), ""))
	}
	for _, s := range []string{"token", "knox", "jwt", "oauth2", "session"} {
		theirs := r.sample("servers", DjangoServer, s)
		list = append(list,
			verdict(s+", requests/s, uncached: ≥ 10 × Django", against(r.sample("servers", CompareUncached, s), theirs), least(10), ""),
			verdict(s+", requests/s, cached: ≥ 20 × Django", against(r.sample("servers", CompareCached, s), theirs), least(20), ""),
			verdict(s+", authenticator alone, uncached: ≥ 10 × Django", against(r.sample("alone", s, DjangoServer), r.sample("alone", s, OursSQLite)), least(10), ""),
			verdict(s+", authenticator alone, cached: ≥ 300 × Django", against(r.sample("alone", s, DjangoServer), r.sample("alone", s, OursCached)), least(300), ""))
	}
	oauth := string(Authenticate) + "/oauth2"
	for _, peer := range []string{"go-oauth2", "fosite"} {
		list = append(list, verdict("oauth2, cached: ≥ 5 × "+peer+" with its store in memory", against(r.sample("work", oauth, peer), r.sample("work", oauth, OursCached)), least(5), ""))
	}
	return append(list, r.slower())
}

// slower is the target that every peer that does the same work is slower than ours.
func (r *Results) slower() Verdict {
	v := Verdict{Target: "every peer that does the same work is slower, cached", State: "met"}
	var all, faster []string
	missing := false
	for _, g := range r.groups("work") {
		ours := r.sample("work", g, OursCached)
		for _, s := range r.group("work", g) {
			if s.Module == "" || s.Less {
				continue
			}
			us := ours
			if us == nil { // login and the like have no cache
				if us = r.sample("work", g, Ours); strings.HasPrefix(g, string(Authenticate)) {
					missing = true
					continue
				}
			}
			ratio := RatioOf(s, us)
			name := g + " " + s.Name + " " + digits(ratio.Median)
			all = append(all, name)
			if ratio.Median <= 1 {
				faster = append(faster, name)
			}
		}
	}
	slices.Sort(faster)
	v.Measured = fmt.Sprintf("%d of %d are slower", len(all)-len(faster), len(all))
	if len(faster) > 0 {
		v.State = "missed"
		v.Measured += "; not " + strings.Join(faster, ", ")
	} else if missing || len(all) == 0 {
		v.State = "–"
	}
	return v
}
