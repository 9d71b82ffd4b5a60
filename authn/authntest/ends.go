package authntest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
)

// ended returns the rule that Good is rejected after an event.
func ended(name string) func(*probe) {
	return func(p *probe) {
		if p.ask(p.Good).kind() != accepted {
			return // rule accepted reports it
		}
		p.end(name)
		p.want("Good after "+name, p.ask(p.Good), rejected, unrecognized)
	}
}

func expiryIsReported(p *probe) {
	if o := p.ask(p.Good); o.kind() == accepted && o.id.Expires.IsZero() {
		p.Error("Good expires, but Identity.Expires is zero")
	}
}

// alike compares the responses to the client. The private reasons can differ.
func alike(p *probe) {
	first, firstOf := "", ""
	p.refusals(func(what string, err error) {
		if len(what) > 3 && what[:3] == "Bad" { // may be malformed, which has other responses
			return
		}
		var e *authn.Error
		errors.As(err, &e)
		text := fmt.Sprintf("%d %s %s %v", e.Status, e.Code, e.Detail, e.Members)
		if first == "" {
			first, firstOf = text, what
		}
		if text != first {
			p.Errorf("%s: %s; %s: %s", firstOf, first, what, text)
		}
	})
}

func othersStay(p *probe) {
	for _, e := range p.events() {
		if e.name == "Expire" { // the clock is shared by all credentials
			continue
		}
		q := p.another()
		if q.ask(q.Other).kind() != accepted {
			continue
		}
		q.end(e.name)
		p.want("Other after "+e.name+" of Good", q.ask(q.Other), accepted)
	}
}

func accountsApart(p *probe) {
	good, other, again := p.ask(p.Good), p.ask(p.Other), p.ask(p.Good)
	if good.kind() != accepted || other.kind() != accepted || again.kind() != accepted || !good.id.Authenticated() {
		return
	}
	if who(good) == who(other) {
		p.Errorf("Good and Other are both %s", who(good))
	}
	if who(good) != who(again) {
		p.Errorf("Good is %s, and after Other %s", who(good), who(again))
	}
}

// who returns the account of an outcome.
func who(o outcome) string {
	return fmt.Sprintf("subject %q, client %q of issuer %q", o.id.Subject, o.id.Client, o.id.Issuer)
}

func scopedRule(p *probe) {
	o := p.ask(p.Scoped)
	if o.kind() != accepted {
		return
	}
	if len(o.id.Scopes) == 0 {
		p.Errorf("Scoped: Scopes is %#v", o.id.Scopes)
	}
	if len(o.id.Roles) != 0 {
		p.Errorf("Scoped: Roles is %q, with Scopes %q", o.id.Roles, o.id.Scopes)
	}
}

func scopelessRule(p *probe) {
	o := p.ask(p.Scopeless)
	if o.kind() == accepted && (o.id.Scopes == nil || len(o.id.Scopes) > 0) {
		p.Errorf("Scopeless: Scopes is %#v", o.id.Scopes)
	}
}

func freshLists(p *probe) {
	all := p.accepted()
	before := map[string]string{}
	for what, add := range all {
		if o := p.ask(add); o.kind() == accepted {
			before[what] = lists(o.id)
		}
	}
	for what := range before {
		o := p.ask(all[what])
		for _, list := range [][]string{o.id.Roles, o.id.Scopes} {
			list = list[:cap(list)] // include spare capacity, which append would use
			for i := range list {
				list[i] = "edited"
			}
		}
		_ = slices.Delete(o.id.Roles, 0, len(o.id.Roles))
		_ = slices.Delete(o.id.Scopes, 0, len(o.id.Scopes))
		for later, want := range before {
			if got := lists(p.ask(all[later]).id); got != want {
				p.Errorf("%s has %s after an edit of the lists of %s, and %s before", later, got, what, want)
			}
		}
	}
}

func lists(id authn.Identity) string { return fmt.Sprintf("roles %q, scopes %q", id.Roles, id.Scopes) }
