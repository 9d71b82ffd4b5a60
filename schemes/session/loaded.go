package session

import (
	"context"
	"net/http"
	"sync"

	"github.com/gorilla/sessions"
	"github.com/vestibule-auth/vestibule/authn"
)

// loaded is the stored session of a gorilla session.
type loaded struct {
	row    *row     // for a Store; nil: none yet
	sealed *content // for a SealedStore; nil: none yet
	bad    error    // why it cannot be saved
}

// state maps the gorilla sessions of a request to stored ones. It is in the context of the
// handler's request, as gorilla's registry is, and not of the request for authentication.
type state struct {
	mu   sync.Mutex
	held map[*sessions.Session]*loaded
}

type stateKey struct{}

func stateOf(r *http.Request) *state {
	if st, ok := r.Context().Value(stateKey{}).(*state); ok {
		return st
	}
	st := &state{held: make(map[*sessions.Session]*loaded)}
	*r = *r.WithContext(context.WithValue(r.Context(), stateKey{}, st))
	return st
}

func (st *state) put(v *sessions.Session, l *loaded) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.held[v] = l
}

func (st *state) get(v *sessions.Session) *loaded {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.held[v]
}

// FromIdentity returns the ID of the session with which this scheme authenticated the identity, and
// the account's epoch in this session. Pass FromIdentity to server.Sessions if the authorization
// server uses the accounts of this scheme.
//
// ok is false if another scheme authenticated the identity. This includes another session scheme,
// because its account with the same ID may belong to someone else. It is also false for a sealed
// session, which has no ID.
func (s *Scheme) FromIdentity(id authn.Identity) (sessionID string, epoch int64, ok bool) {
	loaded, ok := s.own(id)
	if !ok {
		return "", 0, false
	}
	return loaded.ID, loaded.Epoch, true
}
