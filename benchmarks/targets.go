package benchmarks

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is a target of speed and what was measured.
type Verdict struct {
	Target, Measured string
	// State is "met", "missed", "–" where it was not measured, or "info" where it is no target.
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
		list = append(list, verdict(fmt.Sprintf("%s, cached, over HTTP: ≥ %.0f %% of the rate of /api/open", s, want*100),
			against(r.sample("servers", CompareCached, s), r.sample("servers", CompareCached, Open)), least(want), ""))
	}
	for _, s := range []string{"token", "knox", "jwt", "oauth2", "session"} {
		theirs := r.sample("servers", DjangoServer, s)
		list = append(list,
			verdict(s+", requests/s, uncached: ≥ 10 × Django", against(r.sample("servers", CompareUncached, s), theirs), least(10), ""),
			verdict(s+", requests/s, cached: ≥ 20 × Django", against(r.sample("servers", CompareCached, s), theirs), least(20), ""),
			verdict(s+", only the authenticator, uncached: ≥ 10 × Django", against(r.sample("alone", s, DjangoServer), r.sample("alone", s, OursSQLite)), least(10), ""),
			verdict(s+", only the authenticator, cached: ≥ 300 × Django", against(r.sample("alone", s, DjangoServer), r.sample("alone", s, OursCached)), least(300), ""))
	}
	oauth := string(Authenticate) + "/oauth2"
	for _, peer := range []string{"go-oauth2", "fosite"} {
		list = append(list, verdict("oauth2, cached: ≥ 5 × "+peer+" with its store in memory", against(r.sample("work", oauth, peer), r.sample("work", oauth, OursCached)), least(5), ""))
	}
	return append(list, r.slower(), r.faster())
}

// peer is a peer that does the same work as ours, and its time as a multiple of ours.
type peer struct {
	name  string
	ratio Ratio
}

func (p peer) String() string { return p.name + " " + p.ratio.String() }

// peers are those of the kinds, against ours: cached where ours has a cache. whole says that
// ours was measured wherever a peer was.
func (r *Results) peers(kinds ...Kind) (list []peer, whole bool) {
	whole = true
	for _, g := range r.groups("work") {
		kind, _, _ := strings.Cut(g, "/")
		if !slices.Contains(kinds, Kind(kind)) {
			continue
		}
		name := Ours
		if kind == string(Authenticate) {
			name = OursCached
		}
		ours := r.sample("work", g, name)
		for _, s := range r.group("work", g) {
			switch {
			case s.Module == "" || s.Less:
			case ours == nil:
				whole = false
			default:
				list = append(list, peer{g + " " + s.Name, RatioOf(s, ours)})
			}
		}
	}
	return list, whole
}

// notSlower are the peers that take no more time than ours, in the order of their names.
func notSlower(list []peer) (names []string) {
	for _, p := range list {
		if p.ratio.Median <= 1 {
			names = append(names, p.String())
		}
	}
	slices.Sort(names)
	return names
}

// slower is the target that every peer that does the same work is slower than ours, cached.
func (r *Results) slower() Verdict {
	v := Verdict{Target: "authenticate and authorize, cached: every peer that does the same work is slower", Measured: "–", State: "–"}
	list, whole := r.peers(Authenticate, Authorize)
	if len(list) == 0 {
		return v
	}
	bad := notSlower(list)
	v.Measured = fmt.Sprintf("%d of %d are slower", len(list)-len(bad), len(list))
	switch {
	case len(bad) > 0:
		v.State = "missed"
		v.Measured += "; not, as a multiple of our time: " + strings.Join(bad, ", ")
	case whole:
		v.State = "met"
	}
	return v
}

// faster says where a peer is faster than ours in work that is done anew each time. It is no
// target.
func (r *Results) faster() Verdict {
	v := Verdict{Target: "for information: login, refresh, revoke (nothing is cached)", Measured: "–", State: "–"}
	list, _ := r.peers(Login, Refresh, Revoke)
	if len(list) == 0 {
		return v
	}
	v.State, v.Measured = "info", fmt.Sprintf("none of %d peers that do the same work is faster", len(list))
	if names := notSlower(list); len(names) > 0 {
		v.Measured = fmt.Sprintf("%d of %d peers that do the same work are faster, as a multiple of our time: %s", len(names), len(list), strings.Join(names, ", "))
	}
	return v
}
