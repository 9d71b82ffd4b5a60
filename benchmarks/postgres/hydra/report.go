//go:build linux

package hydra

import (
	"fmt"
	"strings"
)

// markdown returns the page.
func (r *Results) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("---\ntitle: Compared with Ory Hydra\ndescription: The authorization server and Ory Hydra on the same PostgreSQL and machine, measured by make bench-hydra.\nkind: reference\naudience: developer, operator\n---\n")
	p("# Compared with Ory Hydra\n")
	p("`make bench-hydra` writes this page; the raw values are in [%s](%s). It builds Hydra %s from the Go module", resultsFile, resultsFile, r.Hydra)
	p("proxy, and starts both authorization servers on one PostgreSQL with `fsync` on. The servers take turns of %s in", r.Slot)
	p("%d rounds, with %d connections that stay open. Each figure is the median of the rounds; brackets contain the", r.Rounds, Connections)
	p("minimum and the maximum. The client, the servers and PostgreSQL share the cores of one machine, so compare the")
	p("columns with each other. Before the run, each server must accept the right credentials and reject wrong ones.\n")
	p("%s; commit %s; %s; %s; PostgreSQL %s, `shared_buffers=1GB`, with pg_stat_statements; load average before", r.Time.Format("2 January 2006, 15:04 UTC"), r.Commit, r.Machine, r.Go, r.PostgreSQL)
	p("the run %s, after it %s. The run itself loads the machine. If the load before it was high, other programs ran at the", r.Load, r.LoadAfter)
	p("same time, and the absolute figures are too low.\n")
	p("## Targets\n\n| Target | Measured | |\n|---|---|---|")
	for _, t := range r.targets() {
		state := "missed"
		if t.met {
			state = "met"
		}
		p("| %s | %s | %s |", t.text, t.measured, state)
	}
	p("\n## Requests per second\n")
	p("More is better. The second line of a row is the ratio to \"hydra\".\n")
	r.table(p, func(s *Sample) string {
		cell := number(s.median(perSecond))
		if s.Server != "hydra" {
			mid, least, most := s.ratio(r.sample(s.Work, "hydra"))
			cell += fmt.Sprintf("<br>%.1f × (%.1f–%.1f)", mid, least, most)
		}
		return cell
	})
	p("## Latency\n\nMilliseconds, p50 and p99. Less is better.\n")
	r.table(p, func(s *Sample) string {
		return number(s.median(func(s Slot) float64 { return s.P50 })) + ", " + number(s.median(func(s Slot) float64 { return s.P99 }))
	})
	p("## What limits the rate\n")
	p("Milliseconds of processor time per request: server + PostgreSQL + benchmark client. Then PostgreSQL's statements,")
	p("with BEGIN and COMMIT, and the bytes that it wrote to its log (WAL) per request. Without WAL, a request waits for no")
	p("disk.\n")
	r.table(p, func(s *Sample) string {
		return fmt.Sprintf("%s + %s + %s<br>%.1f statements, %.0f B",
			number(s.median(func(s Slot) float64 { return s.Server })), number(s.median(func(s Slot) float64 { return s.PostgreSQL })), number(s.median(func(s Slot) float64 { return s.Client })),
			s.Statements, s.median(func(s Slot) float64 { return s.WAL }))
	})
	p("What PostgreSQL's sessions did, by samples of `pg_stat_activity` in each turn. \"%s\" means that a statement used", running)
	p("a processor or waited for one, and \"%s\" means that the next statement of a transaction had not arrived yet.\n", between)
	r.table(p, (*Sample).mostly)
	p("## Memory\n\nResident memory of each server after the run. Both clients of Hydra use one process.\n")
	p("| Server | MiB |\n|---|---|")
	for _, s := range r.Servers {
		p("| %s | %.0f |", s.Name, float64(s.Memory)/(1<<20))
	}
	p("\n## Settings\n")
	p("Both servers have their default settings, except where the tables name others.\n")
	p("| Server | |\n|---|---|")
	for _, s := range r.Servers {
		p("| %s | %s |", s.Name, s.Note)
	}
	p("\n| | Vestibule | Hydra %s |\n|---|---|---|", r.Hydra)
	for _, row := range [][3]string{
		{"PostgreSQL connections", "20", "20 (`max_conns=20`, `max_idle_conns=20`)"},
		{"Client secret", "256 random bits, stored as a SHA-256 digest. A slow hash is unnecessary, because nobody can guess the secret", "PBKDF2 with 25,000 iterations, for generated secrets too. \"hydra, cheap hash\" has 1 iteration"},
		{"Client authentication", "`client_secret_basic`, also for introspection", "`client_secret_basic`; introspection is an endpoint of the admin API, and no client authenticates"},
		{"Access tokens", "opaque, one hour", "opaque, one hour"},
		{"Refresh", "rotation, a grace period of 10 seconds, reuse detection", "rotation without a grace period, reuse detection"},
		{"ID tokens", "RS256, 3072-bit key (the default)", "RS256, 4096-bit key (its default)"},
		{"Code flow", "login without a password, consent page, form, token endpoint: 4 requests", "authorization endpoint 3 times, login and consent accepted through the admin API, token endpoint: 6 requests"},
		{"Other", "audit and log discarded", "`--dev` (http), `LOG_LEVEL=error`, `SQA_OPT_OUT=true`"},
	} {
		p("| %s | %s | %s |", row[0], row[1], row[2])
	}
	p("\nThe refreshed grants have no scope `openid`, so no ID token is signed for them. %d tokens are introspected in turn.", introspected)
	p("In the code flow each user logs in again. A user's password is not checked on either side.")
	return b.String()
}

// table writes a table with one row for each work and one column for each server.
func (r *Results) table(p func(string, ...any), cell func(*Sample) string) {
	head, line := "| ", "|---"
	for _, s := range r.Servers {
		head += "| " + s.Name + " "
		line += "|---"
	}
	p("%s|\n%s|", head, line)
	for _, work := range Works {
		row := "| " + work + " "
		for _, s := range r.Servers {
			row += "| " + cell(r.sample(work, s.Name)) + " "
		}
		p("%s|", row)
	}
	p("")
}

// number writes a number with as many digits as mean something.
func number(f float64) string {
	switch {
	case f >= 1000:
		return fmt.Sprintf("%d,%03d", int(f)/1000, int(f)%1000)
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
