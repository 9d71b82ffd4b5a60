package gormstore

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"
)

var errRoles = errors.New("role is empty, contains a comma or NUL, begins or ends with white space, or is not text")

// roles splits the roles of a row. If one of them is invalid, it returns none, because part of a
// name could be the name of another role.
func (u *userSQL) roles(text string) (names []string, err error) {
	if u.RolesList == "" {
		names = strings.Split(text, ",")
	} else if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, errRoles // the parser's error would quote the value
	}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, ",\x00") || strings.TrimSpace(name) != name || !utf8.ValidString(name) {
			return nil, errRoles
		}
	}
	return names, nil
}

// faultyEvery is the minimum time between log entries about the application's rows, because each
// request of the account finds the error again.
const faultyEvery = 10 * time.Second

// faulty logs an error in the application's data at Error, at most once per faultyEvery.
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
