package jwt

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/jose"
)

// Rule is a condition on a token, for Require, Machine and FirstPartyRequire of VerifierOptions.
// Create it with [Is], [Not], [Has], [Lacks], [Under], [Ends] or [HeaderIs]. The zero Rule is invalid.
//
// A path is the name of a claim, or a JSON Pointer (RFC 6901) such as "/kubernetes.io/namespace",
// which leads through objects. Values are compared byte by byte, as text: a number or a boolean by
// its JSON text, such as "1" or "true". A token whose value is an object or null, or whose path
// leads through something other than an object, is rejected. Only Has and Lacks accept any value.
type Rule struct {
	kind   ruleKind
	path   path
	values []string
	err    error
}

type ruleKind uint8

const (
	ruleIs ruleKind = iota + 1
	ruleNot
	ruleHas
	ruleLacks
	ruleUnder
	ruleEnds
	ruleHeaderIs
)

// Is requires the value at path to be one of values. For a list, one matching element is enough.
func Is(path string, values ...string) Rule { return newRule(ruleIs, "Is", path, values) }

// Not requires a value at path, and none of values. An empty text or list counts as missing. Use
// [Lacks] if the claim must be absent.
func Not(path string, values ...string) Rule { return newRule(ruleNot, "Not", path, values) }

// Has requires a value at path that is not empty: not "", [], {} or null.
func Has(path string) Rule { return newRule(ruleHas, "Has", path, nil) }

// Lacks requires that the token has nothing at path, not even null.
func Lacks(path string) Rule { return newRule(ruleLacks, "Lacks", path, nil) }

// Under requires the text at path to begin with prefix and to continue after it. prefix must end
// with "/" or ":", so that "spiffe://prod.example/" does not accept "spiffe://prod.example.evil/x".
func Under(path, prefix string) Rule { return newRule(ruleUnder, "Under", path, []string{prefix}) }

// Ends requires the text at path to end with suffix, and to have something before it, such as
// "@clients" of the machines of Auth0.
func Ends(path, suffix string) Rule { return newRule(ruleEnds, "Ends", path, []string{suffix}) }

// HeaderIs requires the parameter name of the token's header to be one of values. Use it for
// issuers that put a property into the header, such as "signer" of AWS load balancers. It does not
// read headers of the request.
func HeaderIs(name string, values ...string) Rule {
	return newRule(ruleHeaderIs, "HeaderIs", name, values)
}

func newRule(kind ruleKind, name, at string, values []string) Rule {
	r := Rule{kind: kind, values: slices.Clone(values)}
	if kind == ruleHeaderIs { // the header has no nested values
		r.path = path{at, []string{at}}
		if at == "" {
			r.err = errors.New("empty name")
		}
	} else {
		r.path, r.err = newPath(at)
	}
	switch {
	case r.err != nil:
	case kind != ruleHas && kind != ruleLacks && len(values) == 0:
		r.err = errors.New("no values (at least one)")
	case slices.Contains(values, ""):
		r.err = errors.New("an empty value")
	case kind == ruleUnder && !strings.HasSuffix(values[0], "/") && !strings.HasSuffix(values[0], ":"):
		r.err = fmt.Errorf("prefix %q (must end with / or :)", values[0])
	}
	if r.err != nil {
		r.err = fmt.Errorf("%s(%q): %w", name, at, r.err)
	}
	return r
}

// check returns an error if the rule is invalid.
func (r Rule) check() error {
	if r.kind == 0 {
		return errors.New("a Rule without a condition (use Is, Not, Has, Lacks, Under, Ends or HeaderIs)")
	}
	return r.err
}

// met reports whether a token meets the rule. It returns errShape if a value has another type than
// the rule can compare.
func (r Rule) met(t *jose.Token) (bool, error) {
	if r.kind == ruleHeaderIs {
		text, ok := t.Param(r.path.text)
		return ok && slices.Contains(r.values, text), nil
	}
	raw, ok, err := r.path.in(t.Claims)
	switch {
	case err != nil:
		return false, err
	case !ok:
		return r.kind == ruleLacks, nil
	case r.kind == ruleLacks:
		return false, nil
	case r.kind == ruleHas:
		return !isEmpty(raw), nil
	}
	texts, err := scalars(raw)
	switch {
	case err != nil:
		return false, err
	case r.kind == ruleUnder:
		return raw[0] == '"' && len(texts[0]) > len(r.values[0]) && strings.HasPrefix(texts[0], r.values[0]), nil
	case r.kind == ruleEnds:
		return raw[0] == '"' && len(texts[0]) > len(r.values[0]) && strings.HasSuffix(texts[0], r.values[0]), nil
	}
	one := slices.ContainsFunc(texts, func(s string) bool { return slices.Contains(r.values, s) })
	if r.kind == ruleNot {
		return !one && !isEmpty(raw), nil
	}
	return one, nil
}

// isEmpty reports whether a JSON value is "", [], {} or null.
func isEmpty(raw []byte) bool {
	switch raw[0] {
	case '"':
		return len(raw) == 2
	case '[', '{':
		return len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
	}
	return raw[0] == 'n'
}

// required returns an error for the first rule of Require that the token does not meet.
func (v *Verifier) required(t *jose.Token) error {
	for _, r := range v.opts.Require {
		ok, err := r.met(t)
		if err == nil && !ok {
			err = errors.New("not met")
		}
		if err != nil {
			return ruleError("require", r, err)
		}
	}
	return nil
}

// isMachine reports whether the token meets a rule of Machine.
func (v *Verifier) isMachine(t *jose.Token) (bool, error) {
	machine := false
	for _, r := range v.opts.Machine {
		ok, err := r.met(t)
		if err != nil {
			return false, ruleError("machine", r, err)
		}
		machine = machine || ok
	}
	return machine, nil
}

// ruleError rejects a token because of a rule for what; nil if err is nil.
func ruleError(what string, r Rule, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s %s: %w", jose.ErrInvalid, what, r.path.text, err)
}
