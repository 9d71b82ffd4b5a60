package guides

import (
	"time"

	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// #region remember

// newRemembered returns sessions that expire after 12 unused hours, with "remember me".
func newRemembered(db session.Rows, site *csrf.Site) (*session.Scheme, error) {
	return session.New(db, site, &session.Options{
		Idle:     12 * time.Hour,
		Remember: &session.RememberOptions{}, // 30 days unused, 90 days in all
	})
}

// #endregion remember

// #region trusted

// newSite also accepts requests from the pages of a front end on another host.
func newSite() (*csrf.Site, error) {
	return csrf.New("https://app.example", &csrf.Options{
		TrustedOrigins: []string{"https://front.app.example"},
	})
}

// #endregion trusted

// #region sealed

// newSealed returns sessions without rows. It reads the account for each request, so that a new
// password or a disabled account takes effect immediately. A nil Users saves that query.
func newSealed(ring *keys.Ring, site *csrf.Site, users storage.Users) (*session.Sealed, error) {
	return session.NewSealed(ring, site, &session.SealedOptions{Users: users})
}

// #endregion sealed
