package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// groupMark separates the group from the random part of a session ID. The random part cannot
	// contain this character.
	groupMark = "~"
	maxGroup  = 64
	// groupPage is the number of sessions that EndGroup reads.
	groupPage = 1000
)

// StartIn is like [Scheme.Start], and adds the session to a group, which [Scheme.EndGroup] can end
// later. Use it if several sessions of a user have a common cause, such as one session at an OpenID
// provider. The session's ID begins with the group, so the user can see the group. The argument
// group has 1 to 64 letters, digits, '-' and '_'.
func (s *Scheme) StartIn(w http.ResponseWriter, r *http.Request, login authn.Login, group string) error {
	if !validGroup(group) {
		return fmt.Errorf("session: StartIn: invalid group of %d bytes (1 to %d letters, digits, - and _)", len(group), maxGroup)
	}
	old, err := s.current(r)
	if err != nil {
		return err
	}
	return s.logInAs(w, r, login, "", group+groupMark+newID(), old)
}

// sameGroup returns a new ID for a session of the same group, or "" if the session has none.
func sameGroup(id string) string {
	group, _, ok := strings.Cut(id, groupMark)
	if !ok {
		return ""
	}
	return group + groupMark + newID()
}

func validGroup(group string) bool {
	return group != "" && len(group) <= maxGroup && !strings.ContainsFunc(group, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	})
}

// EndGroup deletes the user's sessions whose group begins with prefix, and returns their number.
// The prefix "" is an error. EndGroup checks only the 1,000 most recently used sessions of the
// user.
func (s *Scheme) EndGroup(ctx context.Context, subject, prefix string) (n int, err error) {
	if !validGroup(prefix) {
		return 0, errors.New("session: EndGroup: invalid prefix")
	}
	list, err := s.rows.ListSessions(ctx, subject, groupPage)
	if err != nil {
		return 0, err
	}
	for _, v := range list {
		group, _, ok := strings.Cut(v.ID, groupMark)
		if !ok || !strings.HasPrefix(group, prefix) {
			continue
		}
		err := s.opts.Audit.Change(ctx, s.rows, func(ctx context.Context) error {
			err := s.rows.DeleteSessionOf(ctx, subject, v.ID)
			if err == nil {
				s.notify(ctx, audit.SessionEnded, &v, "")
			}
			return err
		})
		switch {
		case err == nil:
			n++
		case !errors.Is(err, storage.ErrNotFound): // ended at the same time
			return n, err
		}
	}
	return n, nil
}
