package gormstore

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"
)

var errRoles = errors.New("a role is empty, holds a comma or NUL, begins or ends with a blank, or is no text")

// roles takes the roles of a row apart. One that cannot be a role leaves none: half of a name
// could be the name of another role.
func (u *userSQL) roles(text string) (names []string, err error) {
	if u.RolesList == "" {
		names = strings.Split(text, ",")
	} else if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, errRoles // the parser's error would quote the text
	}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, ",\x00") || strings.TrimSpace(name) != name || !utf8.ValidString(name) {
			return nil, errRoles
		}
	}
	return names, nil
}

// faultyEvery bounds how often a fault of the application's rows is logged: each request of
// the account meets it again.
const faultyEvery = 10 * time.Second

// faulty logs a fault of the application's data at Error, the first one and then at most one
// in faultyEvery.
func (s *Store) faulty(message string, attrs ...any) {
	now, last := int64(time.Since(s.opened)), s.lastFault.Load()
	if last != 0 && now-last < int64(faultyEvery) || !s.lastFault.CompareAndSwap(last, max(now, 1)) {
		return
	}
	log := s.logger
	if log == nil {
		log = slog.Default()
	}
	log.Error(message, attrs...)
}
