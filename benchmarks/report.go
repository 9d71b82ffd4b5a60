package benchmarks

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Report writes README.md and the charts to the folder.
func (r *Results) Report(dir string) error {
	files := map[string]string{"README.md": r.markdown()}
	for name, c := range r.charts() {
		files[name] = c.svg()
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *Results) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("---\ntitle: Benchmarks\ndescription: Vestibule beside its peers and a live Django REST Framework, written by make bench.\nkind: reference\naudience: developer\n---\n")
	p("# Benchmarks\n")
	p("Written by `make bench`; the raw values are in [results.json](results.json). Times and rates are ratios of values that were")
	p("measured in the same seconds of one run: the median of %d rounds, with the minimum and the maximum in brackets. The programs", r.Rounds)
	p("take turns of %s. Before the run, each has shown that it accepts the right credential and no other. Measurements without a", r.Slot)
	p("server count the processor time of the whole process with garbage collection. Measurements with a server count requests a second.")
	p("A dash (–) means that there is no measurement. The charts' scales are logarithmic.\n")
	p("\"vestibule\" is this module with the store in memory, \"SQLite\" with that database, and \"cached\" with `storage/cached` in front of")
	p("SQLite. So \"cached\" can be faster than \"vestibule\", which queries its store each time.\n")
	p("%s; commit %s; %s; %s; load average before the run %s. If other programs ran at the same time, the figures are provisional.\n", r.Time.Format("2 January 2006, 15:04 UTC"), r.Commit, r.Machine, r.Go, r.Load)
	for _, s := range r.Skipped {
		p("Not measured: %s\n", s)
	}
	p("## Targets\n")
	p("≤ and ≥ show which direction is better; a row with \"info\" has no target.\n")
	p("| target | measured | |\n|---|---|---|")
	for _, v := range r.Verdicts() {
		p("| %s | %s | %s |", v.Target, v.Measured, v.State)
	}
	p("\n## One prepared request\n")
	p("A request passes middleware to a handler that reads the caller. Vestibule's requests pass a chain of all six schemes and a guard")
	p("with a scope, which is more work than one parser. The floor is a hand-written check: a digest of the same credential, a map and")
	p("a context value. Times are multiples of the floor's time, and allocations are those above the floor's: less is better.\n")
	p("![One prepared request](authenticate.svg)\n")
	r.tables(p, string(Authenticate), "floor", true)
	p("## Login, refresh, revocation, authorization\n")
	p("Measured at the endpoint, if there is one, with stores in memory. Checking the password costs nothing here. The notes say what")
	p("a peer does not do. Times are multiples of Vestibule's time, and for authorization of the floor's time: less is better. A value")
	p("below 1 is faster than Vestibule.\n")
	p("![Login, refresh, revocation, authorization](endpoints.svg)\n")
	for _, k := range []Kind{Login, Refresh, Revoke, Authorize} {
		r.tables(p, string(k), "", false)
	}
	if r.groups("gates") != nil {
		p("## HTTP, each gate in a process of its own\n")
		p("%d connections stay open, on this machine; the server and its client share the cores. Requests a second, relative to a server", Conns)
		p("that checks nothing. More is better.\n")
		p("![HTTP, each gate in a process of its own](http.svg)\n")
		p("| scheme | contender | × open | |\n|---|---|---|---|")
		open := r.sample("gates", Open, Open)
		for _, g := range r.groups("gates") {
			for _, s := range r.group("gates", g) {
				if s != open {
					p("| %s | %s | %s | %s |", g, s.Name, RatioOf(s, open), s.Note)
				}
			}
		}
		p("")
	}
	r.servers(p)
	p("## Versions\n")
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		p("- %s %s", name, r.Versions[name])
	}
	return b.String()
}

// tables writes a table for each group of a kind.
func (r *Results) tables(p func(string, ...any), kind, than string, allocs bool) {
	for _, g := range r.groups("work") {
		scheme, ok := strings.CutPrefix(g, kind+"/")
		if !ok {
			continue
		}
		list := r.group("work", g)
		b := base(list)
		if b == nil {
			continue
		}
		p("### %s: %s\n", strings.ToUpper(kind[:1])+kind[1:], scheme)
		p("| contender | × %s | allocations | |\n|---|---|---|---|", b.Name)
		for _, s := range byRatio(list, b) {
			a := fmt.Sprintf("%.0f", s.Allocs)
			if allocs && s != b {
				a = fmt.Sprintf("%+.0f", s.Allocs-b.Allocs)
			}
			p("| %s | %s | %s | %s |", s.Name, RatioOf(s, b), a, s.Note)
		}
		p("")
	}
}

// servers writes what the comparison server and Django do.
func (r *Results) servers(p func(string, ...any)) {
	open := r.sample("servers", CompareCached, Open)
	if open == nil {
		return
	}
	p("## The comparison server")
	p("\n`examples/compare` on SQLite with %d users. Requests a second of `/api/profile` through the chain of all schemes,", size)
	p("relative to `/api/open` without a credential: more is better. JWTs are signed with HS256 (`-jwt-alg HS256`). The default is EdDSA,")
	p("whose check would take most of the time without the cache. Basic without a cache is not measured, because each request would")
	p("compute a password hash.\n")
	p("![The comparison server](compare.svg)\n")
	p("| scheme | -cache 30s | -cache off |\n|---|---|---|")
	part := func(group, scheme string) string {
		a, b := r.sample("servers", group, scheme), r.sample("servers", group, Open)
		if a == nil || b == nil {
			return "–"
		}
		return RatioOf(a, b).String()
	}
	for _, s := range Schemes {
		p("| %s | %s | %s |", s, part(CompareCached, s), part(CompareUncached, s))
	}
	p("")
	if r.sample("servers", DjangoServer, Open) == nil {
		return
	}
	p("## Beside Django REST Framework\n")
	p("A Django project under gunicorn (`%s`) gives the same answer, on SQLite", strings.Join(gunicornArgs(), " "))
	p("with the same number of users. The columns are the requests a second, and the speed of the authenticator alone, relative to")
	p("Django: more is better. Django's authenticator is one class; Vestibule's is the chain of all six schemes and a guard. Both sign")
	p("JWTs with HS256. An open path has no authenticator.\n")
	p("![Beside Django REST Framework](django.svg)\n")
	p("| scheme | requests/s, cached | requests/s, uncached | alone, cached | alone, uncached |\n|---|---|---|---|---|")
	times := func(a, b *Sample) string {
		if a == nil || b == nil {
			return "–"
		}
		return RatioOf(a, b).String()
	}
	for _, s := range append([]string{Open}, Schemes...) {
		theirs, alone := r.sample("servers", DjangoServer, s), r.sample("alone", s, DjangoServer)
		if theirs == nil {
			continue
		}
		p("| %s | %s | %s | %s | %s |", s, times(r.sample("servers", CompareCached, s), theirs), times(r.sample("servers", CompareUncached, s), theirs),
			times(alone, r.sample("alone", s, OursCached)), times(alone, r.sample("alone", s, OursSQLite)))
	}
	p("")
}
