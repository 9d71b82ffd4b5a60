package conformance

import (
	"fmt"
	"strings"
)

// report collects what a module finds about a server. Modules report here and not to a testing.T, so
// that the same module runs against a broken server and is expected to fail there.
type report struct {
	failures, warnings []string
	skipped            string
}

// stop is the panic that ends a module.
type stop struct{}

// failf reports a violated requirement.
func (r *report) failf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// fatalf reports a violated requirement, without which the module cannot continue.
func (r *report) fatalf(format string, args ...any) {
	r.failf(format, args...)
	panic(stop{})
}

// warnf reports what the suite only warns about.
func (r *report) warnf(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// skip ends a module because the server does not offer what it tests.
func (r *report) skip(reason string) {
	r.skipped = reason
	panic(stop{})
}

// outcome is the worst result: "passed", "skipped", "warning" or "failed".
func (r *report) outcome() string {
	switch {
	case len(r.failures) > 0:
		return failed
	case len(r.warnings) > 0:
		return warning
	case r.skipped != "":
		return skipped
	}
	return passed
}

// The results of a module.
const (
	passed  = "passed"
	skipped = "skipped"
	warning = "warning"
	failed  = "failed"
)

func (r *report) String() string {
	lines := []string{r.outcome()}
	for _, f := range r.failures {
		lines = append(lines, "failure: "+f)
	}
	for _, w := range r.warnings {
		lines = append(lines, "warning: "+w)
	}
	if r.skipped != "" {
		lines = append(lines, "skipped: "+r.skipped)
	}
	return strings.Join(lines, "\n\t")
}

// examine runs a module and returns its report.
func (f *fixture) examine(check func(*party), formPost bool) *report {
	r := &report{}
	p := &party{report: r, f: f, formPost: formPost}
	p.browser = p.newBrowser()
	func() {
		defer func() {
			switch e := recover(); e.(type) {
			case nil, stop:
			default:
				panic(e)
			}
		}()
		check(p)
	}()
	f.advance(pause)
	return r
}
