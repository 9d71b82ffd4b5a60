package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const secret = "hunter2-in-a-panic"

type telling struct{ text string }

func (t telling) Error() string  { return t.text }
func (t telling) String() string { return t.text }

// panics are panic values whose text must not appear anywhere.
var panics = map[string]any{
	"text": secret, "error": errors.New(secret), "stringer": telling{secret}, "wrapped": fmt.Errorf("x: %w", telling{secret}), "bytes": []byte(secret),
}

func Test_edge_A06(t *testing.T) {
	for name, v := range panics {
		out := new(bytes.Buffer)
		log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		Notify(t.Context(), log, "demo", func(context.Context, int) { panic(v) }, 1)
		if text := out.String(); strings.Contains(text, secret) || !strings.Contains(text, fmt.Sprintf("%T", v)) || !strings.Contains(text, `"scheme":"demo"`) {
			t.Errorf("%s: %s", name, text)
		}
		got, err := Call("demo.Options.Hook", func() (int, error) { panic(v) })
		var status interface{ StatusCode() int }
		if got != 0 || err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err.Error()), secret) || !errors.As(err, &status) || status.StatusCode() != 500 {
			t.Errorf("%s: %d, %v", name, got, err)
		}
		out.Reset()
		if log.Error("x", "error", err); strings.Contains(out.String(), secret) || !strings.Contains(out.String(), "demo.Options.Hook") {
			t.Errorf("%s: %s", name, out)
		}
	}
	seen := 0
	Notify(t.Context(), nil, "demo", func(_ context.Context, n int) { seen += n }, 2)
	Notify[int](t.Context(), nil, "demo", nil, 2)
	if seen != 2 {
		t.Errorf("%d", seen)
	}
	want := errors.New("as it is")
	if n, err := Call("x", func() (int, error) { return 7, want }); n != 7 || err != want {
		t.Errorf("%d, %v", n, err)
	}
}
