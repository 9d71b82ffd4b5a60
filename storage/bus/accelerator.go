package bus

import "context"

// Accelerator passes texts between processes sooner than a courier does, and may lose them. It proves
// nothing: a cache that has one depends on its [Courier] as before. redisstore.Channel is one. Its
// methods are called concurrently.
type Accelerator interface {
	// Publish sends a text to all processes that listen now. The caller ignores errors, so Publish
	// must return soon if the server is away.
	Publish(ctx context.Context, text string) error
	// Listen calls f for each text until ctx ends. It reconnects by itself.
	Listen(ctx context.Context, f func(text string)) error
}
