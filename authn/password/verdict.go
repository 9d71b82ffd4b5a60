package password

import (
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// The reasons why a login failed, for the log.
var (
	errUnknown  = errors.New("unknown account")
	errDisabled = errors.New("account disabled")
	errUnusable = errors.New("account without a usable password")
	errWrong    = errors.New("wrong password")
)

// verdict is the result of checking a name and a password.
type verdict struct {
	user     storage.User
	reason   error // why the login fails; nil if it succeeds
	outdated bool
	hashed   bool          // a hash was computed
	waited   time.Duration // time spent waiting for a slot
}

// why returns the reason for the log. It identifies a known account by its ID. It omits the typed
// name, which may be a password.
func (v verdict) why() error {
	if v.user.ID == "" {
		return v.reason
	}
	return fmt.Errorf("%w, subject %q", v.reason, v.user.ID)
}
