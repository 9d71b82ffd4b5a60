package audit_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

// crashing ends the process after its events were stored and before they are committed.
type crashing struct{ *gormstore.Store }

func (c crashing) AppendAudit(ctx context.Context, records ...storage.AuditRecord) error {
	if err := c.Store.AppendAudit(ctx, records...); err != nil {
		return err
	}
	os.Exit(crashed)
	return nil
}

const crashed = 86

// TestCrashChild is the process that crashes: it revokes all tokens of alice.
func TestCrashChild(t *testing.T) {
	where, url, found := strings.Cut(os.Getenv("VESTIBULE_TEST_CRASH"), " ")
	if !found {
		return // not the child
	}
	db := must(byurl.Open(url, nil))(t)
	var store knox.Store = db
	hook := func(context.Context, audit.Event) { os.Exit(crashed) }
	if where == "before" {
		store = crashing{db}
	}
	devices := must(knox.New(store, &knox.Options{Audit: must(audit.New(hook, &audit.Options{Required: true}))(t)}))(t)
	_, err := devices.RevokeAll(t.Context(), must(db.UserByName(t.Context(), "alice"))(t).ID)
	t.Fatalf("lives on: %v", err)
}

// A process that ends between the change and the delivery of its event loses neither: both are stored, or
// neither is.
func TestCrash(t *testing.T) {
	t.Run("attack_476", func(t *testing.T) {
		for kind, url := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "db"), "postgres": storetest.URL(t)} {
			t.Run(kind, func(t *testing.T) {
				db := must(byurl.Open(url, nil))(t)
				defer db.Close()
				if err := db.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				schemetest.Add(t, db, "alice")
				u := must(db.UserByName(t.Context(), "alice"))(t)
				devices := must(knox.New(db, nil))(t)
				if _, _, err := devices.Issue(t.Context(), u.ID, u.Epoch, knox.Token{}); err != nil {
					t.Fatal(err)
				}
				for _, where := range []string{"before", "after"} {
					cmd := exec.Command(must(os.Executable())(t), "-test.run=^TestCrashChild$")
					cmd.Env = append(os.Environ(), "VESTIBULE_TEST_CRASH="+where+" "+url)
					out, err := cmd.CombinedOutput()
					var exit *exec.ExitError
					if !errors.As(err, &exit) || exit.ExitCode() != crashed {
						t.Fatalf("%s: %v\n%s", where, err, out)
					}
					tokens, events := len(must(devices.List(t.Context(), u.ID))(t)), len(must(db.AuditAfter(t.Context(), "", 10))(t))
					if want := map[string][2]int{"before": {1, 0}, "after": {0, 1}}[where]; [2]int{tokens, events} != want {
						t.Errorf("%s the commit: %d tokens, %d events, want %v", where, tokens, events, want)
					}
				}
			})
		}
	})
}
