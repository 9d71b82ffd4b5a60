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
	p("---\ntitle: Benchmarks\ndescription: Vestibule compared with other Go libraries and a live Django REST Framework, measured by make bench.\nkind: reference\naudience: developer\n---\n")
	p("# Benchmarks\n")
	p("`make bench` writes this page; the raw values are in [results.json](results.json). Each figure compares two programs that were")
	p("measured in the same seconds of one run. The figure is the median ratio of %d rounds, with the minimum and the maximum in brackets. The", r.Rounds)
	p("programs take turns of %s. Before the run, each program must accept the right credential and reject others. Measurements without", r.Slot)
	p("a server count the processor time of the whole process, including garbage collection. Measurements with a server count requests")
	p("per second. A dash (–) means that there is no measurement. The charts' scales are logarithmic.\n")
	p("These names are used below:\n")
	p("- \"vestibule\" is this module with its store in memory.")
	p("- \"vestibule, SQLite\" is this module with a SQLite database.")
	p("- \"vestibule, cached\" has `storage/cached` in front of SQLite. It can be faster than \"vestibule\", which queries its store for each request.")
	p("- The \"floor\" is a hand-written check without a library, and the lower limit for the cost of a check. It looks up a digest of the same credential in a map and stores a context value.")
	p("- A \"peer\" is another Go library that does a similar task.\n")
	p("%s; commit %s; %s; %s; load average before the run %s. If the load was high, other programs ran at the same time, and the figures are provisional.\n", r.Time.Format("2 January 2006, 15:04 UTC"), r.Commit, r.Machine, r.Go, r.Load)
	for _, s := range r.Skipped {
		p("Not measured: %s\n", s)
	}
	p("## Targets\n")
	p("≤ and ≥ show which direction is better. `/api/open` is a route of the server without authentication. A row with \"info\" has no target.\n")
	p("| target | measured | |\n|---|---|---|")
	for _, v := range r.Verdicts() {
		p("| %s | %s | %s |", v.Target, v.Measured, v.State)
	}
	p("\n## One prepared request\n")
	p("A request passes through middleware to a handler that reads the caller. In Vestibule, it passes through a chain of all six schemes")
	p("and a guard with a scope, which is more work than one parser. The floor is described above. Times are multiples")
	p("of the floor's time. \"+2\" means two allocations more than the floor. Less is better.\n")
	p("![One prepared request](authenticate.svg)\n")
	r.tables(p, string(Authenticate), "floor", true)
	p("## Login, refresh, revocation, authorization\n")
	p("If a library has an endpoint, the endpoint is measured. All stores are in memory, and checking the password costs nothing here. The")
	p("notes say what a peer does not do. Times are multiples of Vestibule's time, so a value below 1 is faster than Vestibule. For")
	p("authorization, they are multiples of the floor's time. Less is better.\n")
	p("![Login, refresh, revocation, authorization](endpoints.svg)\n")
	for _, k := range []Kind{Login, Refresh, Revoke, Authorize} {
		r.tables(p, string(k), "", false)
	}
	if r.groups("gates") != nil {
		p("## HTTP, each contender in its own process\n")
		p("The table shows requests per second, relative to a server that checks nothing. More is better. The client uses %d connections, which", Conns)
		p("stay open. It runs on the same machine and shares the cores with the server.\n")
		p("![HTTP, each contender in its own process](http.svg)\n")
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
	p("\nThe server is `examples/compare` on SQLite with %d users. The table shows requests per second of `/api/profile`, through the chain", size)
	p("of all schemes, relative to `/api/open` without a credential. More is better. JWTs are signed with HS256 (`-jwt-alg HS256`), because")
	p("a check of the default, EdDSA, would take most of the time without the cache. Basic without a cache is not measured, because each")
	p("request would compute a password hash.\n")
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
	p("## Compared with Django REST Framework\n")
	p("A Django project under gunicorn (`%s`) gives the same answer, on SQLite", strings.Join(gunicornArgs(), " "))
	p("with the same number of users. The columns show requests per second, and the speed of only the authenticator, relative to Django.")
	p("More is better. Django's authenticator is one class; Vestibule's is the chain of all six schemes and a guard. Both sign JWTs with")
	p("HS256. The row \"open\" is a path without an authenticator.\n")
	p("![Compared with Django REST Framework](django.svg)\n")
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
