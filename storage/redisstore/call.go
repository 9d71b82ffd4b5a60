package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/observe"
)

// once is a command that go-redis does not repeat after a lost answer, because it may have been
// executed: a unit would be taken twice, and a proof would look as if it had been used before.
type once struct{ redis.Cmder }

func (once) NoRetry() bool { return true }

// script is a Lua script, which Redis runs atomically.
type script struct{ source, hash string }

func newScript(source string) script { return script{source, redis.NewScript(source).Hash()} }

// run runs a script with its keys and arguments. All keys are on one server.
func (s *Store) run(ctx context.Context, name string, f script, keys []string, args []any) (*redis.Cmd, error) {
	command := func(verb, text string) *redis.Cmd {
		all := make([]any, 0, 3+len(keys)+len(args))
		all = append(all, verb, text, strconv.Itoa(len(keys)))
		for _, k := range keys {
			all = append(all, k)
		}
		cmd := redis.NewCmd(ctx, append(all, args...)...)
		cmd.SetFirstKeyPos(3)
		return cmd
	}
	cmd := command("evalsha", f.hash)
	err := s.callAs(ctx, name, cmd)
	if err != nil && isReply(err) && strings.HasPrefix(err.Error(), "NOSCRIPT") { // a new or restarted server
		cmd = command("eval", f.source)
		err = s.callAs(ctx, name, cmd)
	}
	return cmd, named(name, err)
}

// call executes a command. It returns an error of the server, or why there is no answer.
func (s *Store) call(ctx context.Context, cmd redis.Cmder) error {
	return s.callAs(ctx, strings.ToUpper(cmd.Name()), cmd)
}

// callAs is call with the name of the operation, for metrics.
func (s *Store) callAs(ctx context.Context, operation string, cmd redis.Cmder) error {
	return s.guarded(ctx, operation, func(ctx context.Context) error { return s.client.Process(ctx, once{cmd}) })
}

// guarded calls f with the store's timeout, unless the circuit is open.
func (s *Store) guarded(ctx context.Context, operation string, f func(context.Context) error) (err error) {
	if s.sink != nil && s.sink.StoreCall != nil {
		begun := time.Now()
		defer func() { s.called(ctx, operation, time.Since(begun), err) }()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	probe, err := s.circuit.enter()
	if err != nil {
		return err
	}
	result := unknown // also if f panics
	defer func() { s.circuit.leave(probe, result) }()
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err = f(limited)
	switch {
	case err == nil || isReply(err):
		result = answered
	case ctx.Err() == nil: // else the caller stopped to wait
		result = silent
		// For commands that are not repeated, go-redis does not look for the new master of a killed
		// one before a minute has passed. This call returns immediately.
		if c, ok := s.client.(*redis.ClusterClient); ok {
			c.ReloadState(ctx)
		}
	}
	return err
}

// called reports a command.
func (s *Store) called(ctx context.Context, operation string, took time.Duration, err error) {
	c := observe.StoreCall{System: "redis", Operation: operation, Duration: took}
	switch {
	case err == nil:
	case isReply(err), ctx.Err() != nil: // the caller has left
		c.Outcome = observe.Answer
	default:
		c.Outcome = observe.Fault
	}
	observe.MarkStored(ctx)
	s.sink.StoreCall(ctx, c)
}

// isReply reports whether Redis itself returned the error, including that a key does not exist.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// errAnswer means that a script returned something else than the store's scripts return.
var errAnswer = errors.New("unexpected answer")

// named returns err with the name of the method; nil for nil.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redisstore: %s: %w", name, err)
}
