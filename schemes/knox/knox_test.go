package knox_test

import (
	"context"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestLifeOfTokens(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		ctx := t.Context()
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		var c schemetest.Clock
		x := scheme(t, s, &knox.Options{Clock: c.Now})
		text, rec := issue(t, x, "id-alice", knox.Token{Name: "phone"})
		id, err := x.Authenticate(schemetest.With("Knox " + text))
		schemetest.Must(t, err)
		u, ok := id.User.(*storage.Account)
		if id.Subject != "id-alice" || id.Scheme != "knox" || !ok || u.Name != "alice" || id.Roles[0] != "staff" || id.Delegated() || !id.Expires.Equal(born.Add(10*time.Hour)) {
			t.Errorf("identity %+v", id)
		}
		got := id.Credential.(*storage.Credential)
		if got.ID != rec.ID || got.Name != "phone" || !got.LastUsed.Equal(born) || !got.Created.Equal(born) {
			t.Errorf("credential %+v", got)
		}
		if !regexp.MustCompile("^"+x.Pattern()+"$").MatchString(text) || rec.Digest != storage.DigestOf(text) || len(rec.ID) != 32 {
			t.Errorf("%s is not of the pattern, or not what is stored", text)
		}
		if err := x.Revoke(ctx, "id-bob", rec.ID); !errors.Is(err, storage.ErrNotFound) || refused(t, x, text) {
			t.Errorf("bob revoked a token of alice: %v", err)
		}
		schemetest.Must(t, x.Revoke(ctx, "id-alice", rec.ID))
		if err := x.Revoke(ctx, "id-alice", rec.ID); !errors.Is(err, storage.ErrNotFound) || !refused(t, x, text) {
			t.Errorf("revoked twice: %v", err)
		}
		for what, end := range map[string]func() error{
			"password change":    func() error { return s.SetPassword(ctx, "id-alice", "new") },
			"log out everywhere": func() error { _, err := s.BumpEpoch(ctx, "id-alice"); return err },
			"revoke all": func() error {
				if n, err := x.RevokeAll(ctx, "id-alice"); err != nil || n < 2 {
					return errors.Join(err, errors.New("too few"))
				}
				return nil
			},
			"disabled, and enabled": func() error {
				return errors.Join(s.SetActive(ctx, "id-alice", false), s.SetActive(ctx, "id-alice", true))
			},
		} {
			a, _ := issue(t, x, "id-alice", knox.Token{})
			b, _ := issue(t, x, "id-alice", knox.Token{})
			other, _ := issue(t, x, "id-bob", knox.Token{})
			if a == b || refused(t, x, a) || refused(t, x, b) {
				t.Fatalf("before %s", what)
			}
			schemetest.Must(t, end())
			if !refused(t, x, a) || !refused(t, x, b) || refused(t, x, other) {
				t.Errorf("%s: a token works, or another user's does not", what)
			}
		}
		old := schemetest.Epoch(t, s, "id-alice")
		schemetest.Must(t, s.SetActive(ctx, "id-alice", false))
		if _, _, err := x.Issue(ctx, "id-alice", schemetest.Epoch(t, s, "id-alice"), knox.Token{}); !errors.Is(err, storage.ErrStale) {
			t.Errorf("a token for a disabled account: %v", err)
		}
		schemetest.Must(t, s.SetActive(ctx, "id-alice", true))
		if _, _, err := x.Issue(ctx, "id-alice", old, knox.Token{}); !errors.Is(err, storage.ErrStale) {
			t.Errorf("a token for an earlier epoch: %v", err)
		}
		if _, _, err := x.Issue(ctx, "nobody", 0, knox.Token{}); !errors.Is(err, storage.ErrStale) {
			t.Errorf("a token for nobody: %v", err)
		}
		if n, err := x.RevokeAll(ctx, "nobody"); n != 0 || err != nil {
			t.Errorf("revoking nothing: %d, %v", n, err)
		}
	})
}

// List returns the unexpired tokens of one user, the newest first.
func TestList(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		var c schemetest.Clock
		x := scheme(t, s, &knox.Options{Clock: c.Now})
		for i, spec := range []knox.Token{{Name: "a"}, {Name: "short", TTL: time.Minute}, {Name: "b", TTL: knox.NoExpiry}} {
			c.Set(time.Duration(i) * time.Second)
			issue(t, x, "id-alice", spec)
		}
		issue(t, x, "id-bob", knox.Token{Name: "bob's"})
		for at, want := range map[time.Duration]string{
			2 * time.Second: "b short a", time.Minute + time.Second - 1: "b short a", time.Minute + time.Second: "b a", 10 * time.Hour: "b", 1e6 * time.Hour: "b",
		} {
			c.Set(at)
			list, err := x.List(t.Context(), "id-alice")
			schemetest.Must(t, err)
			var names []string
			for _, r := range list {
				names = append(names, r.Name)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("after %s: %s, want %s", at, got, want)
			}
		}
	})
}

// The options and the Token determine the times of a token. An invalid combination is an error of
// New or Issue, and creates no token.
func TestLifetimes(t *testing.T) {
	const day = 24 * time.Hour
	for _, x := range []struct {
		opts          knox.Options
		spec          knox.Token
		ttl, step, to time.Duration
		bad           bool
	}{
		{ttl: 10 * time.Hour},
		{opts: knox.Options{TTL: knox.NoExpiry}},
		{opts: knox.Options{TTL: time.Second}, ttl: time.Second},
		{spec: knox.Token{TTL: time.Minute}, ttl: time.Minute},
		{spec: knox.Token{TTL: time.Hour + 999, Renewal: knox.Renewed}, ttl: time.Hour, step: time.Hour, to: 30 * day},
		{spec: knox.Token{TTL: knox.NoExpiry}},
		{spec: knox.Token{TTL: 400 * day}, ttl: 400 * day},
		{opts: knox.Options{TTL: knox.NoExpiry}, spec: knox.Token{TTL: time.Hour}, ttl: time.Hour},
		{opts: knox.Options{Renew: true}, ttl: 10 * time.Hour, step: 10 * time.Hour, to: 30 * day},
		{opts: knox.Options{Renew: true, MaxTTL: knox.NoExpiry}, ttl: 10 * time.Hour, step: 10 * time.Hour},
		{opts: knox.Options{Renew: true, MaxTTL: 10 * time.Hour}, ttl: 10 * time.Hour, step: 10 * time.Hour, to: 10 * time.Hour},
		{opts: knox.Options{Renew: true}, spec: knox.Token{Renewal: knox.Fixed}, ttl: 10 * time.Hour},
		{opts: knox.Options{Renew: true}, spec: knox.Token{Renewal: knox.Fixed, TTL: 400 * day}, ttl: 400 * day},
		{opts: knox.Options{Renew: true}, spec: knox.Token{TTL: time.Hour}, ttl: time.Hour, step: time.Hour, to: 30 * day},
		{opts: knox.Options{Renew: true}, spec: knox.Token{TTL: knox.NoExpiry}},
		{opts: knox.Options{Renew: true, TTL: knox.NoExpiry}},
		{spec: knox.Token{Renewal: knox.Renewed}, ttl: 10 * time.Hour, step: 10 * time.Hour, to: 30 * day},
		{spec: knox.Token{TTL: -2}, bad: true},
		{spec: knox.Token{TTL: time.Second - 1}, bad: true},
		{spec: knox.Token{TTL: knox.NoExpiry, Renewal: knox.Renewed}, bad: true},
		{spec: knox.Token{TTL: time.Minute, Renewal: knox.Renewed}, bad: true},
		{spec: knox.Token{TTL: 31 * day, Renewal: knox.Renewed}, bad: true},
		{opts: knox.Options{Renew: true}, spec: knox.Token{TTL: 31 * day}, bad: true},
		{spec: knox.Token{Renewal: 9}, bad: true},
		{spec: knox.Token{Name: "a\x00"}, bad: true},
		{spec: knox.Token{Name: "\xff"}, bad: true},
		{spec: knox.Token{Name: strings.Repeat("a", 256)}, bad: true},
		{spec: knox.Token{Scopes: []string{"a b"}}, bad: true},
		{spec: knox.Token{Scopes: []string{""}}, bad: true},
	} {
		s := memory.New(nil)
		schemetest.Add(t, s, "alice")
		var c schemetest.Clock
		x.opts.Clock = c.Now
		k := scheme(t, s, &x.opts)
		text, _, err := k.Issue(t.Context(), "id-alice", 0, x.spec)
		list, _ := k.List(t.Context(), "id-alice")
		if x.bad {
			if !errors.Is(err, storage.ErrInvalid) || text != "" || len(list) > 0 {
				t.Errorf("%+v, %+v: %v", x.opts, x.spec, err)
			}
			continue
		}
		schemetest.Must(t, err)
		want := storage.Credential{Created: born, TTL: x.step}
		if x.ttl > 0 {
			want.Expires = born.Add(x.ttl)
		}
		if x.to > 0 {
			want.Max = born.Add(x.to)
		}
		if got := list[0]; !got.Created.Equal(want.Created) || !got.Expires.Equal(want.Expires) || got.TTL != want.TTL || !got.Max.Equal(want.Max) || !got.LastUsed.IsZero() {
			t.Errorf("%+v, %+v: got %+v, want %+v", x.opts, x.spec, got, want)
		}
	}
}

// The text of an error names the option and its range, and New speaks of no stored record.
func TestConstructionText(t *testing.T) {
	for want, opts := range map[string]*knox.Options{
		"knox: New: TTL 3µs out of range (at least 1s, or NoExpiry)":                          {TTL: 3600},
		"knox: New: TTL 1000h0m0s of a renewed token out of range (at most MaxTTL, 720h0m0s)": {Renew: true, TTL: 1000 * time.Hour},
	} {
		if _, err := knox.New(memory.New(nil), opts); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
	s, err := knox.New(memory.New(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Issue(t.Context(), "id-alice", 0, knox.Token{TTL: -time.Hour})
	if want := "knox: Issue: storage: invalid record: TTL -1h0m0s out of range (at least 1s, or NoExpiry)"; !errors.Is(err, storage.ErrInvalid) || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestConstruction(t *testing.T) {
	s := memory.New(nil)
	for name, opts := range map[string]*knox.Options{
		"keyword": {Keywords: []string{"To ken"}}, "empty keyword": {Keywords: []string{""}}, "keyword twice": {Keywords: []string{"Knox", "kNOX"}},
		"realm": {Realm: `"`}, "realm, control": {Realm: "\n"}, "prefix": {Prefix: "V"}, "long prefix": {Prefix: strings.Repeat("a", 17)},
		"negative TTL": {TTL: -time.Hour}, "short TTL": {TTL: time.Millisecond}, "negative MaxTTL": {MaxTTL: -time.Hour}, "negative interval": {MinInterval: -1},
		"limit": {Limit: -2}, "evict without a limit": {EvictOldest: true},
		"TTL above MaxTTL": {Renew: true, TTL: 2 * time.Hour, MaxTTL: time.Hour}, "TTL above 30 days": {Renew: true, TTL: 1000 * time.Hour},
		"TTL within the interval": {Renew: true, TTL: time.Minute}, "interval above TTL": {Renew: true, MinInterval: 11 * time.Hour},
	} {
		if _, err := knox.New(s, opts); err == nil || !strings.HasPrefix(err.Error(), "knox: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := knox.New(nil, nil); err == nil {
		t.Error("no store was taken")
	}
	keywords := []string{"A", "B"}
	x := scheme(t, s, &knox.Options{Keywords: keywords, Prefix: "abc"})
	keywords[0] = "C"
	if got := x.Formats(); !reflect.DeepEqual(got, []authn.CredentialFormat{{Keyword: "A", Format: "abc_", Prefix: "abc_"}, {Keyword: "B", Format: "abc_", Prefix: "abc_"}}) {
		t.Errorf("claims %v", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("a login without a password checker was made")
		}
	}()
	x.Login(nil)
}

// A token limited to scopes has these scopes, but no roles and no permissions.
func TestScopes(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		if p, ok := s.(storage.Permissions); ok {
			schemetest.Must(t, p.SetSubjectPermissions(t.Context(), "id-alice", []string{"notes.add"}))
		}
		x := scheme(t, s, nil)
		for _, scopes := range [][]string{nil, {}, {"notes:read", "notes:write"}} {
			text, _ := issue(t, x, "id-alice", knox.Token{Scopes: scopes})
			id, err := x.Authenticate(schemetest.With("Knox " + text))
			schemetest.Must(t, err)
			has, err := id.User.(*storage.Account).HasPerm(t.Context(), "notes.add")
			schemetest.Must(t, err)
			if limited := scopes != nil; !reflect.DeepEqual(id.Scopes, scopes) || id.Delegated() != limited || (len(id.Roles) == 0) != limited || has == limited {
				t.Errorf("scopes %#v: identity %+v, permission %t", scopes, id, has)
			}
		}
	})
}

type mine string

func (m mine) UserID() string { return string(m) }

// Options.User returns the application's account. A token that it rejects is not renewed.
func TestUserHook(t *testing.T) {
	s := schemetest.Watch(memory.New(nil))
	schemetest.Add(t, s, "alice")
	var fail error
	x := scheme(t, s, &knox.Options{User: func(_ context.Context, u storage.Account) (authn.User, error) { return mine(u.Name), fail }})
	text, _ := issue(t, x, "id-alice", knox.Token{})
	for _, fail = range []error{errors.New("down"), authn.PermissionDenied("banned")} {
		if id, err := x.Authenticate(schemetest.With("Knox " + text)); !errors.Is(err, fail) || id.Subject != "" || s.Calls("TouchCredential") != 0 {
			t.Errorf("got %+v, %v", id, err)
		}
	}
	fail = nil
	id, err := x.Authenticate(schemetest.With("Knox " + text))
	if err != nil || id.User != mine("alice") || s.Calls("TouchCredential") != 1 {
		t.Errorf("%+v, %v", id, err)
	}
}
