package session

import (
	"context"
	"net/http"
	"sync"

	"github.com/gorilla/sessions"
)

// loaded is what a gorilla session stands for.
type loaded struct {
	row    *row     // of a Store; nil: none yet
	sealed *content // of a SealedStore; nil: none yet
	bad    error    // why it cannot be saved
}

// state is what a request's sessions stand for. It hangs on the request, as gorilla's
// registry does: a handler's request, not that of authentication.
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
