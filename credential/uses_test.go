package credential

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestUses(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	u := NewUses(func() time.Time { return now })
	calls := 0
	write := func(written bool, err error) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			calls++
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the write has no deadline")
			}
			return written, err
		}
	}
	down := errors.New("down")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i, x := range []struct {
		ctx     context.Context
		written bool
		err     error // of the store
		later   time.Duration
		want    bool
		wantErr error
		calls   int
	}{
		{t.Context(), true, nil, 0, true, nil, 1},
		{t.Context(), false, nil, 0, false, nil, 1},
		{gone, true, down, 0, false, nil, 1},                // the client went away: nobody's failure
		{t.Context(), true, down, 0, false, down, 1},        // from here on no write
		{t.Context(), true, nil, 0, false, nil, 0},          //
		{t.Context(), true, nil, 999e6, false, nil, 0},      //
		{t.Context(), true, nil, time.Second, true, nil, 1}, // after a second again
	} {
		now, calls = now.Add(x.later), 0
		written, err := u.Write(x.ctx, write(x.written, x.err))
		if written != x.want || err != x.wantErr || calls != x.calls {
			t.Errorf("%d: %t, %v, %d calls", i, written, err, calls)
		}
	}
}
