package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A flag's bad value ends the program with one line and 2, before anything is written.
func TestBadFlagEndsTheProgram(t *testing.T) {
	if bad := os.Getenv("COMPARE_BAD_FLAG"); bad != "" {
		os.Args = append([]string{"compare", "-db", "sqlite:app.db"}, strings.Fields(bad)...)
		main()
		return
	}
	for bad, want := range map[string]string{
		"-jwt-alg none":         `-jwt-alg "none": want one of EdDSA, ES256, RS256, HS256`,
		"-login-rate 5":         `-login-rate: throttle: ParseRate: "5" is not a rate (such as 10/m, 5/15m, 100/h, 1000/d or off)`,
		"-user foo":             "-user: want name:password[:role,…]",
		"-addr foo":             `-addr "foo": want host:port, such as 127.0.0.1:8080`,
		"-addr 127.0.0.1:99999": `-addr "127.0.0.1:99999": want host:port, such as 127.0.0.1:8080`,
		"-db mysql://x":         "byurl: unknown URL mysql:… (sqlite:PATH, sqlite::memory: or postgres://…)",
	} {
		t.Run(bad, func(t *testing.T) {
			code, stderr := end(t, bad)
			if code != 2 || stderr != want+"\n" {
				t.Errorf("ended with %d, and said %q", code, stderr)
			}
		})
	}
}

// Who cannot listen where it was told to has made no master key either.
func TestAddressThatCanNotBeHadMakesNothing(t *testing.T) {
	if code, stderr := end(t, "-addr 192.0.2.1:80"); code != 1 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("ended with %d, and said %q", code, stderr)
	}
}

// end runs the program in an empty folder, which stays empty, until it ends.
func end(t *testing.T, flags string) (code int, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // if it serves
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestBadFlagEndsTheProgram$")
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "COMPARE_BAD_FLAG="+flags)
	var b strings.Builder
	cmd.Stderr = &b
	var ended *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &ended) {
		t.Fatalf("ended with %v", err)
	}
	if made, err := os.ReadDir(cmd.Dir); err != nil || len(made) != 0 {
		t.Errorf("it made %v, %v", made, err)
	}
	return ended.ExitCode(), b.String()
}
