package password_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// writes counts the writes of a login to an account.
type writes struct {
	password.Store
	n atomic.Int64
}

func (w *writes) ReplaceHash(ctx context.Context, id string, old, hash storage.PasswordHash) error {
	w.n.Add(1)
	return w.Store.ReplaceHash(ctx, id, old, hash)
}

func (w *writes) SetPassword(ctx context.Context, id string, hash storage.PasswordHash) error {
	w.n.Add(1)
	return w.Store.SetPassword(ctx, id, hash)
}

// With RehashNever a login writes no hash, whatever the stored hash is.
func TestRehashNever(t *testing.T) {
	bcrypted, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	must(t, err)
	weak, err := cheap().Hash(t.Context(), "", secret)
	must(t, err)
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		for name, hash := range map[string]storage.PasswordHash{
			"bcrypt": storage.PasswordHash(bcrypted), "2y": storage.PasswordHash("$2y" + string(bcrypted[3:])), "argon2id of another cost": weak,
		} {
			t.Run("edge_C04/"+name, func(t *testing.T) {
				id := strings.ReplaceAll(name, " ", "-")
				must(t, s.CreateUser(t.Context(), storage.User{ID: id, Name: id, Password: hash, Active: true}))
				w := newWorld(t, cheap(), password.Options{})
				counted := &writes{Store: s.(password.Store)}
				login := func(h *password.Hasher, rehash password.Rehash) {
					t.Helper()
					var err error
					w.checker, err = password.New(counted, h, &password.Options{Limiter: w.limiter, Rehash: rehash})
					must(t, err)
					_, err = w.login(id, secret)
					must(t, err)
				}
				dear, err := password.NewHasher(nil)
				must(t, err)
				times := 100
				if strings.HasPrefix(string(hash), "$argon2") {
					times = 5 // each costs a hash of its own
				}
				for range times {
					login(dear, password.RehashNever)
				}
				u, err := s.UserByID(t.Context(), id)
				must(t, err)
				if u.Password != hash || counted.n.Load() != 0 {
					t.Errorf("%d writes; the column is %s, and was %s", counted.n.Load(), u.Password.Fingerprint(), hash.Fingerprint())
				}
				login(dear, password.RehashUpgrade)
				if u, err = s.UserByID(t.Context(), id); err != nil || u.Password == hash || counted.n.Load() != 1 {
					t.Errorf("with RehashUpgrade: %d writes, %v", counted.n.Load(), err)
				}
			})
		}
	})
}

// New passwords are hashed in the old program's format, and its hashes are verified.
func TestNewFormat(t *testing.T) {
	h, err := password.NewHasher(&password.HasherOptions{NewFormat: password.Bcrypt("2y", 12)})
	must(t, err)
	w := newWorld(t, h, password.Options{Rehash: password.RehashUpgrade})
	u := w.register(t, "alice")
	stored, err := w.store.UserByID(t.Context(), u.ID)
	must(t, err)
	hash := string(stored.Password)
	if !strings.HasPrefix(hash, "$2y$12$") || len(hash) != 60 {
		t.Fatalf("edge_C04: %s", hash[:min(7, len(hash))])
	}
	t.Run("edge_C04/the old program reads it", func(t *testing.T) {
		if got := crypt(t, secret, hash); got != hash {
			t.Errorf("crypt(3) makes %q of it", got)
		}
		if got := crypt(t, secret+"x", hash); got == hash {
			t.Error("crypt(3) takes another password")
		}
	})
	t.Run("edge_C04/the old program writes it", func(t *testing.T) {
		theirs := crypt(t, "their-password-42", "$2y$12$abcdefghijklmnopqrstuu")
		must(t, w.store.CreateUser(t.Context(), storage.User{ID: "2", Name: "bob", Password: storage.PasswordHash(theirs), Active: true}))
		if _, err := w.login("bob", "their-password-42"); err != nil {
			t.Error(err)
		}
		if u, err := w.store.UserByID(t.Context(), "2"); err != nil || string(u.Password) != theirs {
			t.Errorf("a hash that is as new ones are was replaced: %v", err)
		}
	})
	t.Run("edge_C04/argon2id becomes what it reads", func(t *testing.T) {
		ours, err := cheap().Hash(t.Context(), "", secret)
		must(t, err)
		must(t, w.store.CreateUser(t.Context(), storage.User{ID: "3", Name: "carol", Password: ours, Active: true}))
		_, err = w.login("carol", secret)
		must(t, err)
		if u, err := w.store.UserByID(t.Context(), "3"); err != nil || !strings.HasPrefix(string(u.Password), "$2y$12$") {
			t.Errorf("%v", err)
		}
	})
	t.Run("edge_C04/72 bytes", func(t *testing.T) {
		for pw, want := range map[string]int{strings.Repeat("ab3-", 18): 200, strings.Repeat("ab3-", 18) + "x": 400, strings.Repeat("\u00e9x", 24) + "y": 400} {
			if err := w.checker.SetPassword(t.Context(), u.ID, "x"+pw[1:]); status(err) != want {
				t.Errorf("%d bytes: %v, want %d", len(pw), err, want)
			}
		}
	})
	for name, f := range map[string]password.Format{"version": password.Bcrypt("2x", 12), "no version": password.Bcrypt("", 12), "cost 9": password.Bcrypt("2b", 9), "cost 15": password.Bcrypt("2b", 15), "md5": password.Bcrypt("1", 12)} {
		if _, err := password.NewHasher(&password.HasherOptions{NewFormat: f}); err == nil {
			t.Errorf("edge_C04: %s: taken", name)
		}
	}
	if _, err := password.New(w.store, h, &password.Options{Rehash: 7}); err == nil {
		t.Error("edge_C04: another Rehash: taken")
	}
}

// crypt calls the system's crypt(3) through another language. CI fails if it cannot.
func crypt(t *testing.T, secret, setting string) string {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("CI") != "" {
		skip = t.Fatalf
	}
	perl, err := exec.LookPath("perl")
	if err != nil {
		skip("not run: perl is needed: apt-get install perl")
	}
	out, err := exec.Command(perl, "-e", "print crypt($ARGV[0], $ARGV[1])", secret, setting).Output()
	if err != nil || !strings.HasPrefix(string(out), setting[:7]) {
		skip("not run: crypt(3) has no bcrypt (%q, %v)", out, err)
	}
	return string(out)
}
