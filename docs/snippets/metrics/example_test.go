package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// #region connect

// protect counts the decisions and the events of an API with device tokens.
func protect(api http.Handler, ring *keys.Ring) (http.Handler, error) {
	m, err := New(prometheus.DefaultRegisterer)
	if err != nil {
		return nil, err
	}
	events, err := audit.New(m.Audit, &audit.Options{Keys: ring})
	if err != nil {
		return nil, err
	}
	devices, err := knox.New(memory.New(nil), &knox.Options{Audit: events}) // and every other scheme
	if err != nil {
		return nil, err
	}
	return authn.New(authn.Chain{devices}, &authn.Options{Observe: m.Observe}).Handler(api), nil
}

// #endregion connect

func Example() {
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		panic(err)
	}
	if _, err := protect(http.NotFoundHandler(), ring); err != nil {
		panic(err)
	}
	// Output:
}
