package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ChannelOptions configure a [Channel]. A nil *ChannelOptions means all defaults.
type ChannelOptions struct {
	// Logger receives one message when the channel is lost and one when it is back. nil means
	// slog.Default().
	Logger *slog.Logger
}

// Channel sends texts to the other processes that listen on a channel of the same name. Use it as
// cached.Options.Accelerator, so that caches learn of a change in about a millisecond, or to speed up
// something else that also works without it. Texts are lost during a failover, a restart or a broken
// connection, and processes do not notice the loss. So a Channel MUST NOT be the only way in which
// processes learn about a revocation.
type Channel struct {
	s    *Store
	name string
	log  *slog.Logger
}

// NewChannel returns the channel with that name: 1 to 64 letters, digits and the characters : _ - and
// dot. opts can be nil.
func NewChannel(s *Store, name string, opts *ChannelOptions) (*Channel, error) {
	if s == nil {
		return nil, errors.New("redisstore: NewChannel: store must be set")
	}
	if name == "" || len(name) > 64 || strings.Trim(name, prefixChars) != "" {
		return nil, fmt.Errorf("redisstore: NewChannel: name %q is invalid (1 to 64 letters, digits, and : _ - .)", name)
	}
	c := &Channel{s: s, name: s.prefix + "c:" + name}
	if opts != nil {
		c.log = opts.Logger
	}
	return c, nil
}

// Publish sends a text to all processes that listen now, including this one.
func (c *Channel) Publish(ctx context.Context, text string) error {
	return named("Publish", c.s.call(ctx, redis.NewIntCmd(ctx, "publish", c.name, text)))
}

const (
	pingEvery = 150 * time.Millisecond
	maxSilent = 500 * time.Millisecond // without an answer to a ping, the connection is replaced

	maxConnect = time.Second
	retryMin   = 100 * time.Millisecond
	retryMax   = 2 * time.Second
)

// Listen calls f for each text, one after the other, until ctx ends. Then it returns the error of
// ctx. It replaces a connection on which Redis does not answer. f must not wait.
func (c *Channel) Listen(ctx context.Context, f func(text string)) error {
	log := cmp.Or(c.log, slog.Default())
	lost, wait := false, retryMin
	for ctx.Err() == nil {
		err := c.listen(ctx, f, func() {
			if wait = retryMin; lost {
				lost = false
				log.LogAttrs(ctx, slog.LevelInfo, "redis channel works again", slog.String("channel", c.name))
			}
		})
		if ctx.Err() == nil && !lost {
			lost = true
			log.LogAttrs(ctx, slog.LevelWarn, "redis channel lost", slog.String("channel", c.name), slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			wait = min(2*wait, retryMax)
		}
	}
	return ctx.Err()
}

// listen receives on one connection until it fails. It calls works at the first answer to a ping.
//
// The pings are the store's own: those of go-redis do not wait for an answer, so it would not notice
// a connection whose other end is gone. It also subscribes again by itself; then texts may be
// missing, and the connection is replaced here.
func (c *Channel) listen(ctx context.Context, f func(text string), works func()) error {
	connecting, cancel := context.WithTimeout(ctx, maxConnect)
	defer cancel()
	sub := c.s.client.Subscribe(connecting, c.name)
	defer sub.Close()
	nonce, subscribed := rand.Text(), false
	var pinged time.Time
	heard := time.Now()
	for {
		if subscribed && time.Since(pinged) >= pingEvery {
			pinged = time.Now()
			if err := sub.Ping(ctx, nonce); err != nil {
				return err
			}
		}
		got, err := sub.ReceiveTimeout(ctx, pingEvery)
		var timeout net.Error
		if err != nil && (!errors.As(err, &timeout) || !timeout.Timeout() || ctx.Err() != nil) {
			return err
		}
		switch m := got.(type) {
		case *redis.Subscription:
			if subscribed {
				return errors.New("the connection was replaced")
			}
			subscribed, heard = true, time.Now()
		case *redis.Message:
			f(m.Payload)
		case *redis.Pong:
			if m.Payload == nonce {
				heard = time.Now()
				works()
			}
		}
		if time.Since(heard) > maxSilent {
			return errors.New("no answer to a ping")
		}
	}
}
