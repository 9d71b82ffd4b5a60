package recovery

import "context"

// Drain does what Run does, until nothing waits.
func (r *Recovery) Drain(ctx context.Context) {
	for len(r.queue) > 0 {
		r.work(ctx, <-r.queue)
	}
}
