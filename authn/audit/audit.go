// Package audit calls the functions that an application gives to schemes in their
// options: observers and hooks. A panic in one of them ends neither the request nor the
// process, and its text, which may hold a secret, reaches no log and no client.
//
// Schemes of your own use it like those of this module: Notify for an Observe option, Call
// for a hook that returns a value and an error.
//
// The package imports only the standard library.
package audit

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Notify passes an event to observe, on the caller's goroutine. A nil observe is not
// called. If it panics, Notify logs the type of the panic's value at Error, with the name
// of the scheme, and returns: the event is about something that has happened already, so
// the answer to the client stays as it is. A nil log is slog.Default().
func Notify[E any](ctx context.Context, log *slog.Logger, scheme string, observe func(context.Context, E), e E) {
	if observe == nil {
		return
	}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if log == nil {
			log = slog.Default()
		}
		log.LogAttrs(ctx, slog.LevelError, "observer panicked",
			slog.String("scheme", scheme), slog.String("error", typeOf(v)), slog.String("stack", string(debug.Stack())))
	}()
	observe(ctx, e)
}

// Call calls a hook and returns its results. If the hook panics, Call returns an error that
// names the hook and the type of the panic's value; authn.Respond answers it with 500. name
// is that of the option, such as "jwt.Options.Claims".
func Call[T any](name string, hook func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			var none T
			v, err = none, &panicked{name, typeOf(p), debug.Stack()}
		}
	}()
	return hook()
}

// typeOf is all that is told of a panic: the text may hold a secret.
func typeOf(v any) string { return fmt.Sprintf("panic of type %T", v) }

// panicked is a panic in a hook.
type panicked struct {
	hook, what string
	stack      []byte
}

func (p *panicked) Error() string { return "audit: " + p.hook + ": " + p.what }

// StatusCode is 500: the program is at fault, and asking again does not help.
func (*panicked) StatusCode() int { return http.StatusInternalServerError }

// LogValue adds the stack, which holds no values.
func (p *panicked) LogValue() slog.Value {
	return slog.GroupValue(slog.String("message", p.Error()), slog.String("stack", string(p.stack)))
}
