package authntest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/vestibule-auth/vestibule/authn"
)

func body(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }

func requestUnchanged(p *probe) {
	for what, add := range p.everything() {
		for _, kind := range []string{"", "application/json", "application/x-www-form-urlencoded"} {
			const sent = "a=b&c=d"
			r := p.request(add)
			if kind != "" {
				r.Method = "POST"
				r.Header.Set("Content-Type", kind)
				r.Body, r.ContentLength = body(sent), int64(len(sent))
			}
			before, url, ctx := r.Clone(r.Context()), r.URL.String(), r.Context()
			if p.call(r).kind() == panicked {
				return
			}
			differs := func(part string, got, want any) {
				if !reflect.DeepEqual(got, want) {
					p.Errorf("%s %s: Authenticate changed the %s: %v, before %v", what, kind, part, got, want)
				}
			}
			differs("header", r.Header, before.Header)
			differs("URL", r.URL.String(), url)
			differs("method", r.Method, before.Method)
			differs("host", r.Host, before.Host)
			differs("address", r.RemoteAddr, before.RemoteAddr)
			differs("context", r.Context(), ctx)
			if kind != "" {
				text, err := io.ReadAll(r.Body)
				differs("body", fmt.Sprint(string(text), err), fmt.Sprint(sent, nil))
			}
		}
	}
}

func headersRule(p *probe) {
	for _, text := range p.headerFaults() {
		p.Error(text)
	}
}

// headerFaults returns the mistakes in the result of Headers.
func (p *probe) headerFaults() (faults []string) {
	h := p.Scheme.(authn.HeaderReader)
	names := h.Headers()
	if !slices.Equal(names, h.Headers()) {
		faults = append(faults, "Headers returns another list at each call")
	}
	set := p.header(p.Good)
	if !slices.ContainsFunc(names, func(name string) bool { return len(set[name]) > 0 }) {
		faults = append(faults, fmt.Sprintf("Good has none of the headers %q, so a chain does not call the scheme", names))
	}
	for _, name := range names {
		if name != http.CanonicalHeaderKey(name) {
			faults = append(faults, fmt.Sprintf("header %q is not in canonical form", name))
		}
	}
	o := p.ask(func(r *http.Request) {
		p.Good(r)
		for _, name := range names {
			r.Header.Del(name)
		}
	})
	if k := o.kind(); k != absent && p.ask(nil).kind() == absent {
		faults = append(faults, fmt.Sprintf("Good without the headers %q: %v, want ErrNoCredentials", names, o))
	}
	return faults
}

func claimsRule(p *probe) {
	if text := p.claimFault(); text != "" {
		p.Error(text)
	}
}

// claimFault returns the mistake in the result of Formats, or "".
func (p *probe) claimFault() string {
	c, _ := authn.AbilityOf[authn.FormatDeclarer](p.Scheme)
	keyword, text, _ := strings.Cut(p.header(p.Good).Get("Authorization"), " ")
	text = strings.TrimLeft(text, " ")
	for _, claim := range c.Formats() {
		if strings.EqualFold(claim.Keyword, keyword) && strings.HasPrefix(text, claim.Prefix) {
			return ""
		}
	}
	return fmt.Sprintf("Good has the keyword %q and matches no format that Formats returns: %+v", keyword, c.Formats())
}

func concurrentRule(p *probe) {
	all := p.everything()
	want := map[string]string{}
	for range 2 { // skip if the results depend on the order
		for what, add := range all {
			o := p.ask(add)
			if before, ok := want[what]; ok && before != summary(o) {
				return
			}
			want[what] = summary(o)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	differs := map[string]string{}
	for range 16 {
		for what, add := range all {
			wg.Go(func() {
				for range 8 {
					if got := summary(p.ask(add)); got != want[what] {
						mu.Lock()
						differs[what] = got
						mu.Unlock()
					}
				}
			})
		}
	}
	wg.Wait()
	for what, got := range differs {
		p.Errorf("%s, concurrently: %s, and sequentially: %s", what, got, want[what])
	}
}

// summary returns the parts of an outcome that are compared.
func summary(o outcome) string {
	s := string(o.kind()) + " " + describe(o.id)
	var e *authn.Error
	if errors.As(o.err, &e) && e != nil {
		s += fmt.Sprintf(" %d %s %s", e.Status, e.Code, e.Detail)
	}
	return s
}
