package totp_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/totp"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// codeAt computes a code as RFC 6238 and RFC 4226 define it, without the library.
func codeAt(t testing.TB, key string, at time.Time) string {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key)
	must(t, err)
	h := hmac.New(sha1.New, raw)
	_ = binary.Write(h, binary.BigEndian, uint64(at.Unix()/30))
	sum := h.Sum(nil)
	o := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[o:])&0x7fffffff)%1_000_000)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is an account with a store, a clock and a TOTP.
type world struct {
	t      *testing.T
	db     totp.Store
	x      *totp.TOTP
	ring   *keys.Ring
	now    time.Time
	user   storage.User
	events []string
}

var start = time.Date(2026, 12, 1, 12, 0, 10, 0, time.UTC)

func newWorld(t *testing.T, db totp.Store) *world {
	t.Helper()
	w := &world{t: t, db: db, now: start}
	var err error
	w.ring, err = keys.NewRing(keys.Generate())
	must(t, err)
	w.x, err = totp.New(db, w.ring, "Example", &totp.Options{
		ACR: "urn:example:mfa", Clock: func() time.Time { return w.now },
		Audit: audit.To(func(_ context.Context, e audit.Event) { w.events = append(w.events, string(e.Kind)+" "+e.Reason) }),
	})
	must(t, err)
	must(t, db.(storage.Users).CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true, Created: start}))
	w.user, err = db.UserByID(t.Context(), "id-alice")
	must(t, err)
	return w
}

func (w *world) id(amr ...string) authn.Identity {
	return authn.Identity{Subject: w.user.ID, Scheme: "session", AuthTime: w.now, AMR: amr}
}

// enroll turns the second factor on and returns its key and the recovery codes. The next step is
// unused.
func (w *world) enroll() (key string, recovery []string) {
	w.t.Helper()
	e, err := w.x.Enroll(w.t.Context(), w.id("pwd"), w.user.Epoch, "alice")
	must(w.t, err)
	recovery, err = w.x.Confirm(w.t.Context(), w.id("pwd"), w.user.Epoch, codeAt(w.t, e.Key(), w.now))
	must(w.t, err)
	w.now = w.now.Add(30 * time.Second)
	return e.Key(), recovery
}

func (w *world) begin() string {
	w.t.Helper()
	handle, err := w.x.Begin(w.t.Context(), authn.Login{Subject: w.user.ID, Epoch: w.user.Epoch})
	must(w.t, err)
	if handle == "" {
		w.t.Fatal("no second step")
	}
	return handle
}

func status(err error) int {
	var e *authn.Error
	switch {
	case err == nil:
		return 200
	case errors.As(err, &e):
		return e.Status
	}
	return 503
}

func (w *world) finish(handle, code string) int {
	w.t.Helper()
	l, err := w.x.Finish(w.t.Context(), handle, code)
	if err == nil && (l.Subject != w.user.ID || l.Epoch != w.user.Epoch || l.ACR != "urn:example:mfa" || strings.Join(l.AMR, " ") != "pwd otp") || err != nil && l.Subject != "" {
		w.t.Errorf("login %+v, %v", l, err)
	}
	return status(err)
}

func wrong(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

func TestEnrollment(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	ctx := t.Context()
	e, err := w.x.Enroll(ctx, w.id("pwd"), w.user.Epoch, "alice")
	must(t, err)
	for _, text := range []string{fmt.Sprint(e), fmt.Sprintf("%+v %#v", e, e), string(must2(t, func() ([]byte, error) { return json.Marshal(e) }))} {
		if strings.Contains(text, e.Key()) {
			t.Errorf("prints the key: %s", text)
		}
	}
	if !strings.HasPrefix(e.URL(), "otpauth://totp/Example:alice?") || !strings.Contains(e.URL(), "secret="+e.Key()) {
		t.Error(e.URL())
	}
	if png, err := e.QR(200); err != nil || !bytes.HasPrefix(png, []byte("\x89PNG")) {
		t.Errorf("%q, %v", png, err)
	}
	if on, err := w.x.Enabled(ctx, w.user.ID); on || err != nil {
		t.Errorf("on before it was confirmed: %v", err)
	}
	if handle, err := w.x.Begin(ctx, authn.Login{Subject: w.user.ID}); handle != "" || err != nil {
		t.Errorf("asks for a code of an unconfirmed app: %v", err)
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Key())
	must(t, err)
	stored, err := w.db.FactorsOf(ctx, w.user.ID, "")
	must(t, err)
	if len(stored) != 1 || bytes.Contains(stored[0].Secret, raw) || bytes.Contains(stored[0].Secret, []byte(e.Key())) || stored[0].KeyID == "" {
		t.Errorf("the key is not encrypted: %+v", stored)
	}
	again, err := w.x.Enroll(ctx, w.id("pwd"), w.user.Epoch, "alice")
	must(t, err)
	if _, err := w.x.Confirm(ctx, w.id("pwd"), w.user.Epoch, codeAt(t, e.Key(), w.now)); status(err) != 400 {
		t.Errorf("a replaced key: %v", err)
	}
	codes, err := w.x.Confirm(ctx, w.id("pwd"), w.user.Epoch, codeAt(t, again.Key(), w.now))
	if err != nil || len(codes) != 10 {
		t.Fatalf("%d codes, %v", len(codes), err)
	}
	stored, err = w.db.FactorsOf(ctx, w.user.ID, "recovery")
	must(t, err)
	for i, f := range stored {
		if strings.Contains(f.ID+string(f.Secret), strings.ReplaceAll(codes[i], "-", "")) {
			t.Error("a recovery code is stored as it is")
		}
	}
	if on, err := w.x.Enabled(ctx, w.user.ID); !on || err != nil {
		t.Errorf("off after it was confirmed: %v", err)
	}
	if w.finish(w.begin(), codeAt(t, again.Key(), w.now)) != 400 {
		t.Error("the code that confirmed the app works again")
	}
	if _, err := w.x.Enroll(ctx, w.id("pwd"), w.user.Epoch, "alice"); !errors.Is(err, totp.ErrEnrolled) {
		t.Errorf("enrolled twice: %v", err)
	}
}

func must2[T any](t testing.TB, f func() (T, error)) T {
	t.Helper()
	v, err := f()
	must(t, err)
	return v
}

func TestFreshLoginNeeded(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	ctx := t.Context()
	old, delegated, foreign, unknown := w.id("pwd"), w.id("pwd"), w.id("pwd"), w.id("pwd")
	old.AuthTime = w.now.Add(-5*time.Minute - time.Second)
	delegated.Client, delegated.Scopes = "app", []string{"read"}
	foreign.Issuer = "https://other.example"
	unknown.AuthTime = time.Time{}
	for what, id := range map[string]authn.Identity{"old": old, "delegated": delegated, "foreign": foreign, "unknown time": unknown, "anonymous": {}} {
		want := 403
		if what == "anonymous" {
			want = 401
		}
		if _, err := w.x.Enroll(ctx, id, w.user.Epoch, "alice"); status(err) != want {
			t.Errorf("%s enrolls: %v", what, err)
		}
		if _, err := w.x.Recovery(ctx, id, w.user.Epoch); status(err) != want {
			t.Errorf("%s gets codes: %v", what, err)
		}
		if err := w.x.Disable(ctx, id); status(err) != want {
			t.Errorf("%s disables: %v", what, err)
		}
	}
	if _, err := w.x.Enroll(ctx, w.id("pwd"), w.user.Epoch+1, "alice"); !errors.Is(err, storage.ErrStale) {
		t.Errorf("an old epoch: %v", err)
	}
	w.enroll()
	if err := w.x.Disable(ctx, w.id("pwd")); status(err) != 403 {
		t.Errorf("the password disables the second factor: %v", err)
	}
	must(t, w.x.Disable(ctx, w.id("pwd", "otp")))
	if list, err := w.db.FactorsOf(ctx, w.user.ID, ""); len(list) != 0 || err != nil {
		t.Errorf("left: %d, %v", len(list), err)
	}
}

func TestCodes(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	key, _ := w.enroll()
	handle := w.begin()
	for what, at := range map[string]time.Duration{"two steps late": -60 * time.Second, "two steps early": 60 * time.Second} {
		if got := w.finish(handle, codeAt(t, key, w.now.Add(at))); got != 400 {
			t.Errorf("%s: %d", what, got)
		}
	}
	for what, code := range map[string]string{"wrong": wrong(codeAt(t, key, w.now)), "empty": "", "short": "12345", "long": codeAt(t, key, w.now) + "0", "letters": "abcdef"} {
		if got := w.finish(handle, code); got != 400 {
			t.Errorf("%s: %d", what, got)
		}
	}
	if got := w.finish(handle, codeAt(t, key, w.now.Add(30*time.Second))); got != 200 {
		t.Errorf("one step early: %d", got)
	}
	handle = w.begin()
	for _, at := range []time.Duration{0, 30 * time.Second} {
		if got := w.finish(handle, codeAt(t, key, w.now.Add(at))); got != 400 {
			t.Errorf("a used step, or one before it: %d", got)
		}
	}
	w.now = w.now.Add(90 * time.Second)
	if got := w.finish(handle, codeAt(t, key, w.now.Add(-30*time.Second))); got != 200 {
		t.Errorf("one step late: %d", got)
	}
	if got := w.finish(handle, codeAt(t, key, w.now)); got != 401 {
		t.Errorf("a used handle: %d", got)
	}
	all := strings.Join(w.events, ",")
	if !strings.Contains(all, "login.succeeded ") || !strings.Contains(all, "login.failed second_factor") {
		t.Error(all)
	}
}

func TestRecoveryCodesWorkOnce(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	_, codes := w.enroll()
	if got := w.finish(w.begin(), strings.ToUpper(codes[3])+" "); got != 200 {
		t.Errorf("upper case: %d", got)
	}
	if got := w.finish(w.begin(), codes[3]); got != 400 {
		t.Errorf("used again: %d", got)
	}
	fresh, err := w.x.Recovery(t.Context(), w.id("pwd", "otp"), w.user.Epoch)
	must(t, err)
	if got := w.finish(w.begin(), codes[4]); got != 400 {
		t.Errorf("a replaced code: %d", got)
	}
	if got := w.finish(w.begin(), strings.ReplaceAll(fresh[0], "-", "")); got != 200 {
		t.Errorf("a new code: %d", got)
	}
}

func TestAttemptsAreLimited(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	key, codes := w.enroll()
	for range 20 { // right codes do not count
		w.now = w.now.Add(30 * time.Second)
		if got := w.finish(w.begin(), codeAt(t, key, w.now)); got != 200 {
			t.Fatal(got)
		}
	}
	w.now = w.now.Add(time.Hour)
	for i := range 10 {
		if got := w.finish(w.begin(), wrong(codeAt(t, key, w.now))); got != 400 {
			t.Fatalf("attempt %d: %d", i, got)
		}
	}
	for what, code := range map[string]string{"right": codeAt(t, key, w.now), "recovery": codes[0]} {
		if got := w.finish(w.begin(), code); got != 429 {
			t.Errorf("%s: %d", what, got)
		}
	}
	w.now = w.now.Add(15*time.Minute + time.Second)
	if got := w.finish(w.begin(), codeAt(t, key, w.now)); got != 200 {
		t.Errorf("after the window: %d", got)
	}
}

func TestPendingLoginEnds_attack_501(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	key, _ := w.enroll()
	first := w.begin()
	second := w.begin()
	if got := w.finish(first, codeAt(t, key, w.now)); got != 401 {
		t.Errorf("replaced: %d", got)
	}
	for _, handle := range []string{"", "x", second[:len(second)-1], strings.Replace(second, "vpl_", "vpr_", 1)} {
		if got := w.finish(handle, codeAt(t, key, w.now)); got != 401 {
			t.Errorf("%q: %d", handle, got)
		}
	}
	w.now = w.now.Add(5 * time.Minute)
	if got := w.finish(second, codeAt(t, key, w.now)); got != 401 {
		t.Errorf("expired: %d", got)
	}
	third := w.begin()
	_, err := w.db.(storage.Subjects).BumpEpoch(t.Context(), w.user.ID)
	must(t, err)
	if got := w.finish(third, codeAt(t, key, w.now)); got != 401 {
		t.Errorf("after log out everywhere: %d", got)
	}
	if on, err := w.x.Enabled(t.Context(), w.user.ID); !on || err != nil {
		t.Errorf("log out everywhere turned the second factor off: %v", err)
	}
}

// Of concurrent logins with one code, one succeeds, on every store.
func TestOneCodeOneLogin_attack_500(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		db, ok := s.(totp.Store)
		if !ok {
			t.Fatal("the store has no factors")
		}
		w := newWorld(t, db)
		key, _ := w.enroll()
		handle, code := w.begin(), codeAt(t, key, w.now)
		won := make([]int, 9)
		var wg sync.WaitGroup
		for i := range won {
			wg.Go(func() {
				_, err := w.x.Finish(t.Context(), handle, code)
				won[i] = status(err)
			})
		}
		wg.Wait()
		n := 0
		for _, s := range won {
			if s == 200 {
				n++
			} else if s != 400 && s != 401 {
				t.Errorf("status %d", s)
			}
		}
		if n != 1 {
			t.Errorf("%d logins with one code: %v", n, won)
		}
	})
}

// broken is a store whose factors cannot be read.
type broken struct{ totp.Store }

func (broken) FactorsOf(context.Context, string, string) ([]storage.Factor, error) {
	return nil, errDown
}

var errDown = errors.New("the database is down")

func TestFaultsAreNoAnswer(t *testing.T) {
	db := memory.New(nil)
	w := newWorld(t, db)
	key, _ := w.enroll()
	handle := w.begin()
	other, err := keys.NewRing(keys.Generate())
	must(t, err)
	lost, err := totp.New(db, other, "Example", &totp.Options{Clock: func() time.Time { return w.now }})
	must(t, err)
	if _, err := lost.Finish(t.Context(), handle, codeAt(t, key, w.now)); status(err) != 503 {
		t.Errorf("without the master key: %v", err)
	}
	down := must2(t, func() (*totp.TOTP, error) { return totp.New(broken{db}, w.ring, "Example", nil) })
	if handle, err := down.Begin(t.Context(), authn.Login{Subject: w.user.ID}); handle != "" || status(err) != 503 {
		t.Errorf("the second step is skipped: %v", err)
	}
	if _, err := down.Require(anyone{}).CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", "x"); status(err) != 503 {
		t.Errorf("the second factor is not required: %v", err)
	}
	if got := w.finish(handle, codeAt(t, key, w.now)); got != 200 {
		t.Errorf("faults used the login up: %d", got)
	}
}

type anyone struct{}

func (anyone) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{Subject: "id-alice", Name: "alice"}, nil
}

func TestRequire(t *testing.T) {
	w := newWorld(t, memory.New(nil))
	r := httptest.NewRequest("POST", "/", nil)
	pw := w.x.Require(anyone{})
	if l, err := pw.CheckPassword(r, "alice", "x"); err != nil || l.Subject != "id-alice" {
		t.Errorf("an account without a second factor: %v", err)
	}
	w.enroll()
	l, err := pw.CheckPassword(r, "alice", "x")
	var e *authn.Error
	if !errors.As(err, &e) || e.Status != 401 || e.Code != "second_factor_required" || l.Subject != "" {
		t.Errorf("the password is enough: %+v, %v", l, err)
	}
}

func TestNewRefuses(t *testing.T) {
	db := memory.New(nil)
	ring := must2(t, func() (*keys.Ring, error) { return keys.NewRing(keys.Generate()) })
	for what, err := range map[string]error{
		"store": second(totp.New(nil, ring, "x", nil)), "ring": second(totp.New(db, nil, "x", nil)), "issuer": second(totp.New(db, ring, "", nil)),
		"attempts": second(totp.New(db, ring, "x", &totp.Options{Attempts: 2})), "wait": second(totp.New(db, ring, "x", &totp.Options{Wait: time.Hour})),
		"fresh": second(totp.New(db, ring, "x", &totp.Options{Fresh: time.Second})),
	} {
		if err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

func second[T any](_ T, err error) error { return err }
