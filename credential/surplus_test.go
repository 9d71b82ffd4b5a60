package credential_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/credential"
)

func TestEndSurplus(t *testing.T) {
	down := errors.New("down")
	for name, c := range map[string]struct {
		most  int
		have  string // in the order of the list; k is kept
		fails string // ending it, or "list", fails
		want  string // what is ended
		err   error
	}{
		"room":                   {3, "kab", "", "", nil},
		"one too many":           {3, "kabc", "", "c", nil},
		"several":                {2, "akbc", "", "bc", nil},
		"the new one is missing": {2, "abc", "", "bc", nil},
		"only the new one":       {1, "kab", "", "ab", nil},
		"any number":             {credential.NoLimit, "kabc", "list", "", nil},
		"no count":               {1, "kab", "count", "", down},
		"no list":                {1, "kab", "list", "", down},
		"a failure":              {1, "kabc", "b", "a", down},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // the client has left
			var ended string
			err := credential.EndSurplus(ctx, c.most, func(ctx context.Context) (int, error) {
				if c.fails == "count" {
					return 0, down
				}
				return len(c.have), ctx.Err()
			},
				func(ctx context.Context, limit int) ([]string, error) {
					if len(c.have) <= c.most {
						t.Error("there is no surplus, and it lists")
					}
					if c.fails == "list" {
						return nil, down
					}
					if limit < c.most+1 || ctx.Err() != nil {
						return nil, fmt.Errorf("limit %d, %w", limit, ctx.Err())
					}
					var list []string
					for _, r := range c.have {
						list = append(list, string(r))
					}
					return slices.Clip(list), nil
				},
				func(v string) bool { return v == "k" },
				func(_ context.Context, v string) error {
					if v == c.fails {
						return down
					}
					ended += v
					return nil
				})
			if ended != c.want || !errors.Is(err, c.err) {
				t.Errorf("ended %q, %v; want %q, %v", ended, err, c.want, c.err)
			}
		})
	}
}
