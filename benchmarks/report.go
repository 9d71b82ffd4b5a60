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
	p("Written by `make bench`; the raw values are in [results.json](results.json). Times and rates are ratios of what was")
	p("measured in the same seconds of one run: the median of %d rounds, and in brackets the least and the greatest.", r.Rounds)
	p("Contenders take turns of %s. Each has proved before that it lets the right credential through and no other. Without a", r.Slot)
	p("server what counts is the processor time of the whole process, garbage collection included; with one it is requests a second.")
	p("A dash (–) is what was not measured. The charts' scales are logarithmic.\n")
	p("\"vestibule\" is ours over the store in memory, \"SQLite\" over that database, \"cached\" with `storage/cached` in front of SQLite;")
	p("so the second line can be faster than the first, whose store is asked each time.\n")
	p("%s; commit %s; %s; %s; load average before the run %s. Beside other work figures are provisional.\n", r.Time.Format("2 January 2006, 15:04 UTC"), r.Commit, r.Machine, r.Go, r.Load)
	for _, s := range r.Skipped {
		p("Not measured: %s\n", s)
	}
	p("## Targets\n")
	p("≤ and ≥ say which side is the better one; \"info\" is no target.\n")
	p("| target | measured | |\n|---|---|---|")
	for _, v := range r.Verdicts() {
		p("| %s | %s | %s |", v.Target, v.Measured, v.State)
	}
	p("\n## One prepared request\n")
	p("Through middleware to a handler that asks who it is. Ours goes through a chain of all six schemes and a guard with a")
	p("scope; that takes more than a single parser does. The floor is written by hand: the digest of the very same credential,")
	p("a map and a context value. Time is a multiple of the floor's, allocations are those above it: less is better.\n")
	p("![One prepared request](authenticate.svg)\n")
	r.tables(p, string(Authenticate), "floor", true)
	p("## Login, refresh, revocation, authorization\n")
	p("By the endpoint where there is one, in memory. Checking the password costs nothing here. The notes say what a peer")
	p("leaves out. Time is a multiple of ours, of authorization's floor there: less is better, below 1 is faster than ours.\n")
	p("![Login, refresh, revocation, authorization](endpoints.svg)\n")
	for _, k := range []Kind{Login, Refresh, Revoke, Authorize} {
		r.tables(p, string(k), "", false)
	}
	if r.groups("gates") != nil {
		p("## HTTP, each gate in a process of its own\n")
		p("%d connections that are kept, on this machine; the server and who asks share its cores. Requests a second, as a part", Conns)
		p("of those of a server that asks for nothing. More is better.\n")
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
	p("\n`examples/compare` on SQLite with %d users. Requests a second of `/api/profile` through the chain of all schemes, as a", size)
	p("part of those of `/api/open` without a credential: more is better. JWTs are signed by HS256 (`-jwt-alg HS256`; the default is")
	p("EdDSA, whose check would be most of the time without the cache). Basic without a cache would be a password hash each time: not measured.\n")
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
	p("The same answer, by the reference project under gunicorn (`%s`) on SQLite with as", strings.Join(gunicornArgs(), " "))
	p("many users. How many times as many requests a second, and how many times as fast the authenticator alone is: more is better.")
	p("Theirs is one class, ours the chain of all six and a guard. Both sign JWTs by HS256. An open path has no authenticator.\n")
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
