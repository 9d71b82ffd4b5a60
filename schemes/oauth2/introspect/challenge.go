package introspect

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// Challenge returns a Bearer challenge with the scopes that the route requires (RFC 6750, section
// 3). It has an error for a rejected token, and for a token whose scopes do not suffice.
func (i *Scheme) Challenge(_ *http.Request, err error) string {
	return authn.BearerChallenge{ResourceMetadata: i.opts.ResourceMetadata, Invalid: i.invalid.Code, StepUp: true}.For(err)
}
