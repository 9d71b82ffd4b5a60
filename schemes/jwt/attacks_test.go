package jwt_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
)

func TestTokenAttacks(t *testing.T) {
	t.Run("attack_077_blocked_until_the_last_verifier_forgets", func(t *testing.T) {
		w := newWorld(t, jwt.Options{Leeway: time.Minute})
		p := w.issue(t)
		schemetest.Must(t, w.Revoke(t.Context(), p.Refresh))
		for range 7 { // to just before exp + leeway
			w.clock.Pass(time.Minute - time.Second)
			_, err := w.store.Prune(t.Context(), w.clock.Now(), 1000)
			schemetest.Must(t, err)
			if got := w.status(p.Access); got != 401 {
				t.Fatalf("accepted after its family ended: %d", got)
			}
		}
	})
	t.Run("attack_081_scope", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		for scope, want := range map[any]int{"a b": 200, "": 200, "a\tb": 401, "a  b": 401, " a": 401, "a ": 401, "admin\x00": 401, "é": 401, `a"b`: 401, 5: 401} {
			if got := w.status(w.sign(t, "at+jwt", map[string]any{"scope": scope})); got != want {
				t.Errorf("scope %q: %d, want %d", scope, got, want)
			}
		}
		if got := w.status(w.sign(t, "at+jwt", map[string]any{"scope": []string{"a"}})); got != 401 {
			t.Errorf("a list: %d", got)
		}
	})
	t.Run("attack_083_one_kind_for_another", func(t *testing.T) {
		w := newWorld(t, jwt.Options{SignedRefresh: true, Sliding: true})
		plain := newWorld(t, jwt.Options{})
		p := w.issue(t)
		if w.status(p.Access) != 200 || w.status(p.Refresh) != 401 || plain.status(plain.issue(t).Refresh) != 401 {
			t.Error("a refresh token is an access token")
		}
		for _, typ := range []string{"JWT", "id+jwt", "rt+jwt", "logout+jwt", "dpop+jwt", "client-authentication+jwt", ""} {
			if got := w.status(w.sign(t, typ, nil)); got != 401 {
				t.Errorf("%q as access token: %d", typ, got)
			}
			if _, got := w.refreshes(t, w.sign(t, typ, map[string]any{"aud": issuer, "jti": "x"})); got != 401 {
				t.Errorf("%q as refresh token: %d", typ, got)
			}
		}
		sliding, err := w.IssueSliding(t.Context(), "id-alice", 0, nil)
		schemetest.Must(t, err)
		if _, got := w.refreshes(t, sliding); got != 401 || w.status(sliding) != 200 {
			t.Errorf("a sliding token as refresh token: %d", got)
		}
		if post(w.RefreshSliding(), `{"token":"`+p.Access+`"}`).Code != 401 {
			t.Error("an access token slides")
		}
		off := newWorld(t, jwt.Options{})
		if got := off.status(off.sign(t, "sl+jwt", nil)); got != 401 {
			t.Errorf("a sliding token where there are none: %d", got)
		}
	})
	t.Run("attack_084_access_token_at_refresh", func(t *testing.T) {
		for _, signed := range []bool{false, true} {
			w := newWorld(t, jwt.Options{SignedRefresh: signed})
			p := w.issue(t)
			if rec := post(w.RefreshPair(), `{"refresh":"`+p.Access+`"}`); rec.Code != 401 || w.status(p.Access) != 200 {
				t.Errorf("%d", rec.Code)
			}
		}
	})
	t.Run("attack_085_tenants", func(t *testing.T) {
		a := newWorld(t, jwt.Options{})
		p := a.issue(t)
		for _, names := range [][2]string{{"https://b.example", audience}, {issuer, "https://b.example"}} {
			b, err := jwt.New(names[0], names[1], a.ring, a.store, &jwt.Options{Clock: a.clock.Now})
			schemetest.Must(t, err)
			if got := statusOf(b, p.Access); got != 401 {
				t.Errorf("%v: %d", names, got)
			}
			if names[0] != issuer {
				if _, _, err := b.Refresh(t.Context(), p.Refresh); !isRefusal(err) {
					t.Errorf("%v: refresh %v", names, err)
				}
			}
		}
		if _, got := a.refreshes(t, p.Refresh); got != 200 {
			t.Errorf("the other tenant's try used it: %d", got)
		}
	})
	t.Run("attack_086_no_jti_or_epoch", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		for name, v := range map[string]any{"jti": nil, "ver": nil} {
			if got := w.status(w.sign(t, "at+jwt", map[string]any{name: v})); got != 401 {
				t.Errorf("without %s: %d", name, got)
			}
		}
		for _, v := range []any{"0", 0.5, true, []int{0}} {
			if got := w.status(w.sign(t, "at+jwt", map[string]any{"ver": v})); got != 401 {
				t.Errorf("ver %v: %d", v, got)
			}
		}
	})
	t.Run("attack_087_jti_as_a_key", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		for _, jti := range []string{"*", "a:b", "KEYS *", "a'b"} {
			token := w.sign(t, "at+jwt", map[string]any{"jti": jti})
			if got := w.status(token); got != 200 {
				t.Errorf("%q: %d", jti, got)
			}
			schemetest.Must(t, w.store.Block(t.Context(), w.clock.Now().Add(time.Hour), storage.BlockKeyOf(storage.BlockJTI, issuer, jti)))
			if got := w.status(token); got != 401 {
				t.Errorf("%q, blocked: %d", jti, got)
			}
		}
		if w.status(w.sign(t, "at+jwt", map[string]any{"jti": "a"})) != 200 {
			t.Error("another token is blocked")
		}
	})
	t.Run("attack_088_bound_token_as_bearer", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		if got := w.status(w.sign(t, "at+jwt", map[string]any{"cnf": map[string]string{"jkt": "x"}})); got != 401 {
			t.Errorf("%d", got)
		}
	})
	t.Run("attack_089_the_strictest_end_wins", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		p := w.issue(t)
		schemetest.Must(t, w.store.Block(t.Context(), w.clock.Now().Add(time.Hour), storage.BlockKeyOf(storage.BlockSubject, issuer, "id-alice")))
		if w.status(p.Access) != 401 {
			t.Error("the subject is blocked, its epoch fits")
		}
		v := newWorld(t, jwt.Options{})
		q := v.issue(t)
		_, err := v.store.BumpEpoch(t.Context(), "id-alice")
		schemetest.Must(t, err)
		if v.status(q.Access) != 401 {
			t.Error("nothing is blocked, its epoch moved")
		}
	})
	t.Run("attack_090_in_one_second", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		before := w.issue(t)
		_, err := w.store.BumpEpoch(t.Context(), "id-alice")
		schemetest.Must(t, err)
		after := w.issue(t)
		if w.status(before.Access) != 401 || w.status(after.Access) != 200 {
			t.Error("two logins in one second, with a log-out-everywhere between, are taken for one another")
		}
	})
	t.Run("attack_091_reserved_claims", func(t *testing.T) {
		// TestIdentity sets sub and EXP with Options.Claims. The reserved claims take precedence.
		TestIdentity(t)
	})
}

func isRefusal(err error) bool {
	var e *authn.Error
	return errors.As(err, &e) && e.Status == 401
}

func TestRefreshAttacks(t *testing.T) {
	t.Run("attack_094_grandparent", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		one := w.issue(t)
		two, _ := w.refreshes(t, one.Refresh)
		three, _ := w.refreshes(t, two.Refresh)
		if _, got := w.refreshes(t, one.Refresh); got != 401 {
			t.Errorf("the grand-parent: %d", got)
		}
		for i, p := range []jwt.Pair{one, two, three} {
			if got := w.status(p.Access); got != 401 {
				t.Errorf("access token %d: %d", i, got)
			}
		}
		if _, got := w.refreshes(t, three.Refresh); got != 401 {
			t.Errorf("the newest: %d", got)
		}
		if last := w.events.Events()[len(w.events.Events())-1]; last.Kind != audit.RefreshReuse || last.Subject != "id-alice" || last.Family == "" {
			t.Errorf("event %+v", last)
		}
	})
	t.Run("attack_095_reuse_beside_the_client", func(t *testing.T) {
		for range 50 {
			w := newWorld(t, jwt.Options{})
			one := w.issue(t)
			two, _ := w.refreshes(t, one.Refresh)
			three, _ := w.refreshes(t, two.Refresh)
			var mu sync.Mutex
			got := []jwt.Pair{three}
			var wg sync.WaitGroup
			for _, text := range []string{one.Refresh, three.Refresh} {
				wg.Go(func() {
					if p, status := w.refreshes(t, text); status == 200 {
						mu.Lock()
						defer mu.Unlock()
						got = append(got, p)
					}
				})
			}
			wg.Wait()
			for _, p := range got {
				if _, status := w.refreshes(t, p.Refresh); status == 200 || w.status(p.Access) == 200 {
					t.Fatal("a token of the family is alive after a reuse")
				}
			}
		}
	})
	t.Run("attack_096_attack_097_refresh_or_end", func(t *testing.T) {
		ends := map[string]func(*world, jwt.Pair) error{
			"revoke":     func(w *world, p jwt.Pair) error { return w.Revoke(t.Context(), p.Refresh) },
			"everywhere": func(w *world, _ jwt.Pair) error { _, err := w.store.BumpEpoch(t.Context(), "id-alice"); return err },
			"password":   func(w *world, _ jwt.Pair) error { return w.store.SetPassword(t.Context(), "id-alice", "x") },
			"disable":    func(w *world, _ jwt.Pair) error { return w.store.SetActive(t.Context(), "id-alice", false) },
		}
		for what, end := range ends {
			for range 10 {
				w := newWorld(t, jwt.Options{})
				p := w.issue(t)
				var mu sync.Mutex
				minted := []jwt.Pair{p}
				var wg sync.WaitGroup
				for i := range 64 {
					wg.Go(func() {
						if i == 32 {
							if err := end(w, p); err != nil {
								t.Error(err)
							}
							return
						}
						if q, status := w.refreshes(t, p.Refresh); status == 200 {
							mu.Lock()
							defer mu.Unlock()
							minted = append(minted, q)
						}
					})
				}
				wg.Wait()
				for _, q := range minted {
					if w.status(q.Access) == 200 {
						t.Errorf("%s: an access token lives", what)
					}
					if _, status := w.refreshes(t, q.Refresh); status == 200 {
						t.Errorf("%s: a refresh token lives", what)
					}
				}
			}
		}
	})
	t.Run("attack_100_another_scheme", func(t *testing.T) {
		// JWT families have no client; rotation's own tests have clients and keys.
		a := newWorld(t, jwt.Options{})
		p := a.issue(t)
		b, err := jwt.New("https://other.example", audience, a.ring, a.store, &jwt.Options{Clock: a.clock.Now})
		schemetest.Must(t, err)
		if err := b.Revoke(t.Context(), p.Refresh); !isRefusal(err) {
			t.Errorf("got %v", err)
		}
		if _, got := a.refreshes(t, p.Refresh); got != 200 {
			t.Errorf("%d", got)
		}
	})
	t.Run("attack_101_parameters", func(t *testing.T) {
		// The endpoint reads no scope, so the family keeps its scopes.
		w := newWorld(t, jwt.Options{})
		p, err := w.Issue(t.Context(), "id-alice", 0, &jwt.Grant{Scopes: []string{"notes:read"}})
		schemetest.Must(t, err)
		rec := post(w.RefreshPair(), `{"refresh":"`+p.Refresh+`","scope":"notes:read admin","resource":"https://x.example"}`)
		id, err := w.Authenticate(bearer(fields(t, rec)["access"]))
		if rec.Code != 200 || err != nil || fmt.Sprint(id.Scopes) != "[notes:read]" {
			t.Errorf("%d, %v, %v", rec.Code, id.Scopes, err)
		}
	})
	t.Run("attack_102_absolute_end", func(t *testing.T) {
		w := newWorld(t, jwt.Options{AbsoluteTTL: 36 * time.Hour})
		p := w.issue(t)
		for range 3 {
			w.clock.Pass(11 * time.Hour)
			p, _ = w.refreshes(t, p.Refresh)
		}
		if end := time.Unix(1_800_000_000, 0).Add(36 * time.Hour); !p.RefreshExpires.Equal(end) {
			t.Errorf("the last token until %v, want %v", p.RefreshExpires, end)
		}
		w.clock.Pass(3 * time.Hour)
		if _, got := w.refreshes(t, p.Refresh); got != 401 {
			t.Errorf("%d", got)
		}
	})
	t.Run("attack_103_tampered", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		p := w.issue(t)
		text := []byte(p.Refresh)
		for i := range 10_000 {
			at := 4 + i%(len(text)-4)
			was := text[at]
			text[at] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[i*31%62]
			if text[at] != was {
				if _, got := w.refreshes(t, string(text)); got != 401 {
					t.Fatalf("%d", got)
				}
			}
			text[at] = was
		}
		if _, got := w.refreshes(t, p.Refresh); got != 200 {
			t.Errorf("a guess ended the family: %d", got)
		}
	})
	t.Run("attack_103_signature_spelt_otherwise", func(t *testing.T) {
		w := newWorld(t, jwt.Options{SignedRefresh: true})
		p := w.issue(t)
		i := strings.LastIndexByte(p.Refresh, '.')
		sig, err := base64.RawURLEncoding.DecodeString(p.Refresh[i+1:])
		schemetest.Must(t, err)
		twin := p.Refresh[:i+1] + base64.RawURLEncoding.EncodeToString(twinOf(sig))
		if _, got := w.refreshes(t, twin); got != 200 {
			t.Errorf("the twin is the same token: %d", got)
		}
		w.clock.Pass(time.Minute)
		if _, got := w.refreshes(t, p.Refresh); got != 401 {
			t.Errorf("used twice, once in each spelling: %d", got)
		}
	})
	t.Run("attack_104_blocklist_down", func(t *testing.T) {
		for _, stateless := range []bool{false, true} {
			w := newWorld(t, jwt.Options{})
			f := schemetest.Watch(w.store)
			v := overStore(t, w, f, jwt.Options{Stateless: stateless})
			p := w.issue(t)
			if statusOf(v, p.Access) != 200 {
				t.Fatal("refused")
			}
			f.Fail(errors.New("down"), reads()...)
			if got := statusOf(v, p.Access); got != 503 {
				t.Errorf("stateless %t: %d", stateless, got)
			}
			for what, rec := range map[string]*httptest.ResponseRecorder{
				"refresh": post(v.RefreshPair(), `{"refresh":"`+p.Refresh+`"}`), "verify": post(v.Verify(), `{"token":"`+p.Access+`"}`),
				"verify refresh": post(v.Verify(), `{"token":"`+p.Refresh+`"}`), "blacklist": post(v.Blocklist(), `{"refresh":"`+p.Refresh+`"}`),
				"login": post(v.Login(anyone), `{"username":"a","password":"b"}`),
			} {
				if rec.Code != 503 || rec.Header().Get("Retry-After") == "" || strings.Contains(rec.Body.String(), "down") {
					t.Errorf("%s: %d %s", what, rec.Code, rec.Body)
				}
			}
		}
	})
	t.Run("attack_105_logout_can_not_be_written", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		f := schemetest.Watch(w.store).Fail(errors.New("read-only"), schemetest.Writes()...)
		v := overStore(t, w, f, jwt.Options{Sliding: true})
		p := w.issue(t)
		sliding, err := v.IssueSliding(t.Context(), "id-alice", 0, nil)
		schemetest.Must(t, err)
		logout := func(token string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			rec := httptest.NewRecorder()
			v.Logout().ServeHTTP(rec, r)
			return rec
		}
		for what, rec := range map[string]*httptest.ResponseRecorder{
			"blacklist": post(v.Blocklist(), `{"refresh":"`+p.Refresh+`"}`), "logout": logout(p.Access), "logout, sliding": logout(sliding),
		} {
			if rec.Code != 503 || !strings.Contains(rec.Body.String(), "not logged out") || rec.Header().Get("Retry-After") == "" {
				t.Errorf("%s: %d %s", what, rec.Code, rec.Body)
			}
		}
		f.Fail(nil)
		if rec := logout(p.Access); rec.Code != 204 || w.status(p.Access) != 401 {
			t.Errorf("logout: %d", rec.Code)
		}
		if rec := logout(sliding); rec.Code != 204 || statusOf(v, sliding) != 401 {
			t.Errorf("logout of a sliding token: %d", rec.Code)
		}
		late := w.sign(t, "at+jwt", map[string]any{"sid": "pruned"}) // its family has no row any more
		if rec := logout(late); rec.Code != 204 || w.status(late) != 401 {
			t.Errorf("logout of a token whose family was pruned: %d", rec.Code)
		}
		if rec := logout("junk"); rec.Code != 401 {
			t.Errorf("logout of junk: %d", rec.Code)
		}
	})
	t.Run("attack_109_flood_of_revocations", func(t *testing.T) {
		w := newWorld(t, jwt.Options{})
		f := schemetest.Watch(w.store)
		v := overStore(t, w, f, jwt.Options{})
		p := w.issue(t)
		schemetest.Must(t, v.Revoke(t.Context(), p.Refresh))
		other := w.issue(t)
		w.clock.Pass(31 * 24 * time.Hour)
		was := f.Calls(ends()...)
		unknown := newWorld(t, jwt.Options{})
		for i := range 100_000 {
			text := p.Refresh
			if i%3 == 0 {
				text = other.Refresh
			} else if i%1000 == 1 {
				text = unknown.issue(t).Refresh
			}
			if err := v.Revoke(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		if f.Calls(ends()...) != was {
			t.Errorf("%d writes", f.Calls(ends()...)-was)
		}
	})
}

// twinOf returns the other valid signature (r, n-s) of ES256.
func twinOf(sig []byte) []byte {
	n := elliptic.P256().Params().N
	s := new(big.Int).Sub(n, new(big.Int).SetBytes(sig[32:]))
	return append(append([]byte{}, sig[:32]...), s.FillBytes(make([]byte, 32))...)
}
