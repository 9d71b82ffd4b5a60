package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
)

// maxACRValues is the maximum number of values of "acr_values" that are used.
const maxACRValues = 16

// acrValues splits the parameter "acr_values" (OpenID Connect Core, section 3.1.2.1). It drops
// values that cannot be the name of an authentication context class, and values beyond
// maxACRValues.
func acrValues(text string) (list []string) {
	for value := range strings.FieldsSeq(text) {
		if len(list) < maxACRValues && syntax.IsScope(value) && !slices.Contains(list, value) {
			list = append(list, value)
		}
	}
	return list
}

func checkACRValues(list []string, strict bool) error {
	for i, value := range list {
		if !syntax.IsScope(value) || slices.Contains(list[:i], value) {
			return fmt.Errorf("server: New: invalid value %q in ACRValues (printable ASCII without spaces, quotes and backslashes, each once)", value)
		}
	}
	if strict && len(list) == 0 {
		return fmt.Errorf("server: New: StrictACR requires ACRValues")
	}
	return nil
}

// MeetsACR reports whether the user's login reached one of the classes that the request requires
// ("acr_values"), or a class that Options.ACRValues lists as stronger. It also returns true if the
// request requires no class. If Options.ACRValues contains none of the required classes, it returns
// true, unless Options.StrictACR is set.
func (s *Server) MeetsACR(q AuthorizationRequest, u SessionUser) bool {
	reached := slices.Index(s.opts.ACRValues, u.ACR)
	asks := s.opts.StrictACR && len(q.ACR) > 0
	for _, value := range q.ACR {
		wanted := slices.Index(s.opts.ACRValues, value)
		if wanted >= 0 && wanted <= reached || u.ACR != "" && u.ACR == value {
			return true
		}
		asks = asks || wanted >= 0
	}
	return !asks
}
