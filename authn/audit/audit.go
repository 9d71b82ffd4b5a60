// Package audit defines the audit events of all schemes and calls the functions that an
// application gives to schemes in their options.
//
// An application creates one [Notifier] and gives it to every scheme:
//
//	events, err := audit.New(func(ctx context.Context, e audit.Event) {
//		slog.InfoContext(ctx, "audit", "event", e)
//	}, &audit.Options{Keys: ring})
//	tokens, err := knox.New(db, &knox.Options{Audit: events})
//
// A scheme calls [Notifier.Notify] after something happened, and [Call] for a hook that
// returns a value and an error. A panic in one of the application's functions ends neither the
// request nor the process, and its text, which may hold a secret, reaches no log and no client.
//
// Events are delivered on the caller's goroutine, so the function must not block: write to a
// channel or a buffer. No field of an event holds a credential, a password or a name that was
// typed at a failed login.
package audit

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Notify passes an event of any type to observe, on the caller's goroutine. A nil observe is
// not called. If it panics, Notify logs the type of the panic's value at Error, with the name
// of the scheme, and returns: the event is about something that has happened already, so
// the answer to the client stays as it is. A nil log is slog.Default().
//
// Use it for observers of other things than audit events; for those, use a [Notifier].
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

// typeOf is all that is reported of a panic: the text may hold a secret.
func typeOf(v any) string { return fmt.Sprintf("panic of type %T", v) }

// panicked is a panic in a hook.
type panicked struct {
	hook, what string
	stack      []byte
}

func (p *panicked) Error() string { return "audit: " + p.hook + ": " + p.what }

// StatusCode is 500: the program is at fault, and another attempt does not help.
func (*panicked) StatusCode() int { return http.StatusInternalServerError }

// LogValue adds the stack, which holds no values.
func (p *panicked) LogValue() slog.Value {
	return slog.GroupValue(slog.String("message", p.Error()), slog.String("stack", string(p.stack)))
}
