package jwt

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Conflict implements [authn.ConflictFinder]. Two verifiers of one chain conflict if they read the
// same header and
//   - an issuer of one equals an issuer of the other, or matches its template, and
//   - they have a common audience, or one of them has none.
//
// If one of two verifiers has no audience, they do not conflict if both set Clients and have no
// client in common. Two verifiers with NoIssuer always conflict. A [Scheme] conflicts with each
// verifier of its issuer.
func (v *Verifier) Conflict(other authn.Authenticator) error {
	holder, ok := authn.AbilityOf[interface{ foreignVerifier() *Verifier }](other)
	if !ok {
		return nil
	}
	w := holder.foreignVerifier()
	if v.opts.Header != w.opts.Header {
		return nil
	}
	if v.opts.NoIssuer && w.opts.NoIssuer {
		return fmt.Errorf("jwt: verifiers %q and %q both accept tokens without an issuer (NoIssuer)", v.Name(), w.Name())
	}
	for _, a := range v.issuers {
		for _, b := range w.issuers {
			if issuersMeet(a, b) && (v.own || w.own || v.audienceMeets(w)) {
				return fmt.Errorf("jwt: verifiers %q and %q both accept tokens of %q (give them different audiences or Clients)", v.Name(), w.Name(), b)
			}
		}
	}
	return nil
}

func (v *Verifier) foreignVerifier() *Verifier { return v }

func (v *Verifier) audienceMeets(w *Verifier) bool {
	if v.audiences[0] != "" && w.audiences[0] != "" {
		return meet(v.audiences, w.audiences)
	}
	return v.opts.Clients == nil || w.opts.Clients == nil || meet(v.opts.Clients, w.opts.Clients)
}

func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// issuersMeet reports whether a token can have an issuer that matches both.
func issuersMeet(a, b string) bool {
	beforeA, afterA, templateA := strings.Cut(a, tenantPart)
	beforeB, afterB, templateB := strings.Cut(b, tenantPart)
	switch {
	case templateA && templateB:
		return (strings.HasPrefix(beforeA, beforeB) || strings.HasPrefix(beforeB, beforeA)) && (strings.HasSuffix(afterA, afterB) || strings.HasSuffix(afterB, afterA))
	case templateA:
		_, ok := tenantOf(a, b)
		return ok
	case templateB:
		_, ok := tenantOf(b, a)
		return ok
	}
	return a == b
}
