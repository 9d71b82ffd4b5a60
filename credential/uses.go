package credential

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
)

const (
	// usesTimeout limits the time of a write, so that a request does not wait for a slow store.
	usesTimeout = time.Second
	// usesPause is the time after a failed write during which no use is written.
	usesPause = time.Second
)

// Uses records uses of credentials in a store, such as the time of the last use and an expiry that
// depends on it. A slow store delays a request by at most one second, and after a failure the store
// is not called for one second. It is safe for concurrent use.
type Uses struct {
	elapsed *elapsed.Clock
	pause   atomic.Int64 // in time of elapsed
}

// NewUses returns a Uses with that clock. nil means the system's clock.
func NewUses(clock func() time.Time) *Uses { return &Uses{elapsed: elapsed.New(clock)} }

// Write calls write with a context that is canceled after one second, and returns its result.
// Within one second after a failure it does not call write and returns false. If Write returns an
// error, log it and let the request continue. If the request was canceled, the error is nil,
// because the store did not fail.
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
