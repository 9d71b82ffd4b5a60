package main

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vestibule": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

// The same commands on PostgreSQL.
func TestPostgres(t *testing.T) {
	url := pgtest.URL(t)
	t.Setenv("VESTIBULE_DB", url)
	t.Setenv("VESTIBULE_KEY", strings.Repeat("a1b2", 16))
	run := func(stdin string, args ...string) (string, error) {
		var out strings.Builder
		err := command(strings.NewReader(stdin), &out, &out).Run(t.Context(), append([]string{"vestibule"}, args...))
		return out.String(), err
	}
	for _, x := range []struct{ stdin, args, want string }{
		{"", "migrate", "schema version"}, {"wonderland-42\n", "user create -role admin Alice", "created user alice"}, {"", "user list", "alice  yes     admin"},
		{"", "token create alice", "Generated token vst_"}, {"", "token list", "alice"}, {"", "check", "no problems found"}, {"", "user disable alice", "disabled user alice"}, {"", "token list", "USER"},
	} {
		out, err := run(x.stdin, strings.Fields(x.args)...)
		if err != nil || !strings.Contains(out, x.want) {
			t.Errorf("%s: %s, %v", x.args, out, err)
		}
	}
	t.Setenv("VESTIBULE_DB", "postgres://db.example.com/x")
	if got := checkTransport("postgres://u:p@db.example.com/x"); len(got) != 1 || strings.Contains(got[0], ":p@") {
		t.Errorf("PostgreSQL over a network without TLS: %q", got)
	}
	for _, fine := range []string{"postgres://db.example.com/x?sslmode=verify-full", "postgres://localhost/x", "postgres:///x?host=/run/postgresql", "postgres://127.0.0.1:5/x?sslmode=disable"} {
		if got := checkTransport(fine); len(got) != 0 {
			t.Errorf("%s: %q", fine, got)
		}
	}
}
