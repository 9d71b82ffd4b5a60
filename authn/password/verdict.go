package password

import (
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// Why a login failed, for the log.
var (
	errUnknown  = errors.New("unknown account")
	errDisabled = errors.New("account disabled")
	errUnusable = errors.New("account without a usable password")
	errWrong    = errors.New("wrong password")
)

// verdict is what became of one name and password.
type verdict struct {
	user     storage.User
	reason   error // why the login fails; nil: it does not
	outdated bool
	hashed   bool          // something was computed
	waited   time.Duration // for a slot of the hasher
}

// why is the reason for the log. It names a known account by its ID; what was typed as
// a name is not repeated, since it may be a password.
func (v verdict) why() error {
	if v.user.ID == "" {
		return v.reason
	}
	return fmt.Errorf("%w, subject %q", v.reason, v.user.ID)
}
