package recovery

import "context"

// Drain does the work of Run until no request waits.
func (r *Recovery) Drain(ctx context.Context) {
	for len(r.known)+len(r.queue) > 0 {
		select {
		case next := <-r.known:
			r.work(ctx, next)
		case next := <-r.queue:
			r.work(ctx, next)
		}
	}
}
