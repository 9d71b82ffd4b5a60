// Package vestibule_test asks every scheme the same questions, on real databases and over
// HTTP, and prints the answers as a table: docs/comparison.md.
package vestibule_test

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/comparison"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
)

//go:generate go test -run Comparison -update .

var update = flag.Bool("update", false, "write docs/comparison.md and the table of examples/compare")

// questions are asked in this order, because later ones need the lifetime that Expiry finds.
var questions = []struct {
	question, how string
	ask           func(*comparison.Probe) string
}{
	{
		"stateless",
		"no SQL statement reaches the database while a request is answered",
		(*comparison.Probe).Stateless,
	}, {
		"statements a request",
		"SQL statements are counted between the store and the database, from the second request on. They are counted again a minute later, when a use is recorded, signing keys are read, or a password is hashed again",
		(*comparison.Probe).StatementsPerRequest,
	}, {
		"expires after",
		"move the clock to the first second in which the credential is rejected",
		(*comparison.Probe).Expiry,
	}, {
		"renewed without the password",
		"try everything that the login returned at every refresh endpoint, twice",
		(*comparison.Probe).Refresh,
	}, {
		"several devices",
		"log in twice, log out once, then use the other credential",
		(*comparison.Probe).Devices,
	}, {
		"logout revokes it",
		"log out through the scheme's own endpoint, then use the credential",
		(*comparison.Probe).EndedByLogout,
	}, {
		"log-out-everywhere revokes it",
		"make the first write of storage.LogoutEverywhere to the account, then use the credential",
		(*comparison.Probe).EndedByLogoutEverywhere,
	}, {
		"a new password revokes it",
		"change the password, then use the credential",
		(*comparison.Probe).EndedByPassword,
	}, {
		"disabling the account revokes it",
		"disable the account, then use the credential",
		(*comparison.Probe).EndedByDisabling,
	}, {
		"a stolen database holds",
		"search every value and the raw file for the credential, and try every value as a credential",
		(*comparison.Probe).Stolen,
	}, {
		"cross-site check",
		"check whether a browser sends the credential automatically, and whether another site's page can then change something",
		(*comparison.Probe).CrossSite,
	}, {
		"survives a restart",
		"create new objects with the same database and key file, then use the credential",
		(*comparison.Probe).Restart,
	}, {
		"works on a second replica",
		"use the credential at a second server with the same database, then revoke it at the first server and use it again",
		(*comparison.Probe).Replica,
	},
}

// databases returns the URL of each kind of database; "" is a new SQLite file.
var databases = []struct {
	name string
	url  func(testing.TB) string
}{
	{"sqlite", func(testing.TB) string { return "" }},
	{"postgres", func(t testing.TB) string { return storetest.URL(t) }},
}

// TestComparison asks all questions on both databases, which must agree, and compares the answers
// with the published table.
func TestComparison(t *testing.T) {
	if testing.Short() {
		t.Skip("logs in hundreds of times")
	}
	var table []comparison.Row
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) {
			rows := answers(t, database.url)
			if table == nil {
				table = rows
				return
			}
			for i, r := range rows {
				if !slices.Equal(r.Answers, table[i].Answers) {
					t.Errorf("%s:\n %q, with SQLite\n %q", r.Question, r.Answers, table[i].Answers)
				}
			}
		})
	}
	if t.Failed() || table == nil {
		return
	}

	var costs []string
	for _, scheme := range comparison.Schemes {
		costs = append(costs, comparison.NewProbe(comparison.NewWorld(t, ""), scheme).Cost().String())
	}
	t.Log(comparison.Text(table, costs))

	page, err := comparison.JSON(table)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, "docs/comparison.md", comparison.Markdown(table))
	publish(t, "examples/compare/web/comparison.json", page)
}

// answers asks every scheme all questions. Each scheme has a database of its own.
func answers(t *testing.T, url func(testing.TB) string) []comparison.Row {
	dear := comparison.NewHasher
	defer func() { comparison.NewHasher = dear }()
	comparison.NewHasher = func() (*password.Hasher, error) { return passwordtest.New(t, nil), nil }
	rows := make([]comparison.Row, len(questions))
	for i, q := range questions {
		rows[i] = comparison.Row{Question: q.question, How: q.how, Django: comparison.Django[q.question]}
	}
	for _, scheme := range comparison.Schemes {
		probe := comparison.NewProbe(comparison.NewWorld(t, url(t)), scheme)
		for i, q := range questions {
			rows[i].Answers = append(rows[i].Answers, q.ask(probe))
		}
	}
	return rows
}

// publish compares a published file with what was measured, or writes it with -update.
func publish(t *testing.T, name string, measured []byte) {
	if *update {
		if err := os.WriteFile(name, measured, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if published, err := os.ReadFile(name); err != nil || !bytes.Equal(published, measured) {
		t.Errorf("%s is not what was measured (%v): read the table above, then run go generate .", name, err)
	}
}

// BenchmarkCompare makes one authenticated request under each scheme, with middleware and guard and
// without the network. The numbers include the response recorder.
func BenchmarkCompare(b *testing.B) {
	for _, database := range databases {
		b.Run(database.name, func(b *testing.B) {
			for _, scheme := range comparison.Schemes {
				b.Run(scheme.Name, func(b *testing.B) {
					probe := comparison.NewProbe(comparison.NewWorld(b, database.url(b)), scheme)
					check := probe.Check()
					check()
					b.ReportAllocs()
					before := probe.Statements()
					for b.Loop() {
						if status := check(); status != http.StatusOK {
							b.Fatal(status)
						}
					}
					b.ReportMetric(float64(probe.Statements()-before)/float64(b.N), "statements/op")
				})
			}
		})
	}
}
