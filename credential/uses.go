package credential

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
)

const (
	// usesTimeout bounds the write of a use: a request does not wait for a slow store.
	usesTimeout = time.Second
	// usesPause is how long no use is written after a write failed.
	usesPause = time.Second
)

// Uses writes down that credentials were used, such as the time of the last use and an expiry
// that moves with it. A store that is slow or down delays no request for more than a second,
// and is left alone for a second after that. It is safe for concurrent use.
type Uses struct {
	elapsed *elapsed.Clock
	pause   atomic.Int64 // by elapsed
}

// NewUses returns Uses by that clock; nil is that of the system.
func NewUses(clock func() time.Time) *Uses { return &Uses{elapsed: elapsed.New(clock)} }

// Write calls write with a context that ends after a second, and returns what it reports. It
// does not call it within a second of a failure. Log an error and let the request go on. If the
// request was canceled, the error is nil: that is no failure of the store.
func (u *Uses) Write(ctx context.Context, write func(context.Context) (bool, error)) (written bool, err error) {
	if u.elapsed.Now() < time.Duration(u.pause.Load()) {
		return false, nil
	}
	bounded, cancel := context.WithTimeout(ctx, usesTimeout)
	defer cancel()
	written, err = write(bounded)
	if err != nil && ctx.Err() != nil {
		return false, nil
	}
	if err != nil {
		u.pause.Store(int64(u.elapsed.Now() + usesPause))
	}
	return written && err == nil, err
}
