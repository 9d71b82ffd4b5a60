// Package audit defines the audit events of all schemes, and calls the functions that an
// application sets in the options of schemes.
//
// Create one [Notifier] and pass it to every scheme:
//
//	events, err := audit.New(func(ctx context.Context, e audit.Event) {
//		slog.InfoContext(ctx, "audit", "event", e)
//	}, &audit.Options{Keys: ring})
//	tokens, err := knox.New(db, &knox.Options{Audit: events})
//
// A scheme calls [Notifier.Notify] after something happened, and [Call] for a hook that returns a
// value and an error. If a function of the application panics, the request and the process go on.
// The text of the panic, which may hold a secret, reaches neither a log nor a client.
//
// The function is called on the goroutine of the request, so it must not block: write to a channel
// or a buffer. No field of an event holds a credential, a password, or a name typed at a failed
// login.
package audit

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Notify passes an event of any type to observe, on the caller's goroutine. Use it for observers of
// anything except audit events. For audit events, use a [Notifier]. A nil observe is not called.
//
// If observe panics, Notify logs the type of the panic value and the scheme at Error, and returns.
// The event describes something that already happened, so the response to the client does not
// change. A nil log means slog.Default().
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

// Call calls a hook and returns its results. name is the name of the option that holds the hook,
// such as "jwt.Options.Claims". If the hook panics, Call returns an error with the name and the
// type of the panic value; authn.Respond answers it with 500.
func Call[T any](name string, hook func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			var none T
			v, err = none, &panicked{name, typeOf(p), debug.Stack()}
		}
	}()
	return hook()
}

// typeOf describes a panic by its type only, because its text may hold a secret.
func typeOf(v any) string { return fmt.Sprintf("panic of type %T", v) }

// panicked is the error for a panic in a hook.
type panicked struct {
	hook, what string
	stack      []byte
}

func (p *panicked) Error() string { return "audit: " + p.hook + ": " + p.what }

// StatusCode returns 500: the program is wrong, and a retry does not help.
func (*panicked) StatusCode() int { return http.StatusInternalServerError }

// LogValue adds the stack trace, which holds no values.
func (p *panicked) LogValue() slog.Value {
	return slog.GroupValue(slog.String("message", p.Error()), slog.String("stack", string(p.stack)))
}
