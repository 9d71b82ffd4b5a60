package oauth2_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func newRing(t *testing.T, masters ...[]byte) *keys.Ring {
	t.Helper()
	ring, err := keys.NewRing(masters...)
	must(t, err)
	return ring
}

// newDevices is newWorld with the device grant and the clients "tv" and "radio", both public.
func newDevices(t *testing.T, s store, change func(*oauth2.Options)) *world {
	t.Helper()
	w := newWorld(t, s, func(o *oauth2.Options) {
		withSessions(o)
		o.Keys = newRing(t, keys.Generate())
		if change != nil {
			change(o)
		}
	})
	for _, id := range []string{"tv", "radio"} {
		must(t, s.CreateClient(t.Context(), storage.Client{
			ID: id, Name: "Big <" + id + ">", Method: oauth2.None, Trusted: true, Grants: []string{oauth2.DeviceCode, oauth2.RefreshToken}, Scopes: []string{"read", "write"},
			Resources: []string{"https://api.example", "https://files.example"},
		}))
	}
	return w
}

// begun is the answer of the device authorization endpoint.
type begun struct {
	Device   string `json:"device_code"`
	User     string `json:"user_code"`
	Page     string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Expires  int    `json:"expires_in"`
	Interval int    `json:"interval"`
}

func (w *world) begin(pairs ...string) (b begun) {
	w.t.Helper()
	got := w.post(w.DeviceAuthorization(), "", append([]string{"client_id", "tv"}, pairs...)...)
	if err := json.Unmarshal([]byte(got.Body), &b); err != nil || got.Status != 200 {
		w.t.Fatalf("%d %s", got.Status, got.Body)
	}
	return b
}

func (w *world) poll(client, code string, pairs ...string) reply {
	return w.post(w.Token(), "", append([]string{"grant_type", oauth2.DeviceCode, "client_id", client, "device_code", code}, pairs...)...)
}

// device sends a request to the page as that identity, nil for nobody: a GET with a query, or
// a POST with a body.
func (w *world) device(id *authn.Identity, method, text string) *httptest.ResponseRecorder {
	return w.deviceFrom(id, "192.0.2.1:1234", method, text)
}

func (w *world) deviceFrom(id *authn.Identity, addr, method, text string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", issuer+"/oauth2/device", strings.NewReader(text))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if method != "POST" {
		r = httptest.NewRequest(method, issuer+"/oauth2/device?"+text, nil)
	}
	r.RemoteAddr = addr
	if id != nil {
		r = authntest.As(r, *id)
	}
	rec := httptest.NewRecorder()
	w.Device("/login").ServeHTTP(rec, r)
	return rec
}

// decides types the code and answers the page.
func (w *world) decides(id *authn.Identity, code, decision string) *httptest.ResponseRecorder {
	w.t.Helper()
	handle := handleOf(w.t, w.device(id, "POST", "user_code="+code))
	return w.device(id, "POST", "handle="+handle+"&decision="+decision)
}

func TestDevice(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		w := newDevices(t, s, nil)
		alice := w.alice("s1")
		t.Run("attack_178_polls", func(t *testing.T) {
			b := w.begin("scope", "read")
			is := func(want string) {
				t.Helper()
				got := w.poll("tv", b.Device)
				if got.Error != want || want == "" && got.Status != 200 || want != "" && (got.Status != 400 || got.Access != "") || got.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%d %s, want %q", got.Status, got.Body, want)
				}
			}
			is("authorization_pending")
			w.pass(5 * time.Second)
			is("authorization_pending")
			w.pass(4 * time.Second)
			is("slow_down") // 10 seconds from now on
			w.pass(9 * time.Second)
			is("slow_down") // 15
			w.pass(15 * time.Second)
			is("authorization_pending")
			for range 3 {
				is("slow_down") // 30
			}
			w.pass(29 * time.Second)
			is("slow_down")
			if rec := w.decides(alice, b.User, "allow"); rec.Code != 200 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			is("")
			is("invalid_grant")
			w.pass(time.Hour)
			is("invalid_grant")

			b = w.begin()
			w.decides(alice, b.User, "deny")
			is("access_denied")
			is("access_denied")
			b = w.begin()
			w.pass(10*time.Minute - time.Microsecond)
			is("authorization_pending")
			w.pass(time.Microsecond)
			is("expired_token")
			b = w.begin()
			w.decides(alice, b.User, "allow")
			w.pass(10 * time.Minute)
			is("expired_token")
		})
		t.Run("attack_182_another_client", func(t *testing.T) {
			b := w.begin()
			for range 2 {
				if got := w.poll("radio", b.Device); got.Status != 400 || got.Error != "invalid_grant" {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			}
			if got := w.poll("tv", b.Device); got.Error != "authorization_pending" {
				t.Errorf("%s: another client's polls count for nothing", got.Body)
			}
			w.decides(alice, b.User, "allow")
			if got := w.poll("radio", b.Device); got.Error != "invalid_grant" {
				t.Errorf("approved: %s", got.Body)
			}
			if got := w.poll("tv", b.Device); got.Status != 200 {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
		t.Run("attack_179_concurrent_polls", func(t *testing.T) {
			b := w.begin("scope", "read write", "resource", "https://api.example")
			w.decides(alice, b.User, "allow")
			got := make([]reply, 64)
			var wg sync.WaitGroup
			for i := range got {
				wg.Go(func() { got[i] = w.poll("tv", b.Device) })
			}
			wg.Wait()
			var won []reply
			for _, r := range got {
				switch {
				case r.Status == 200:
					won = append(won, r)
				case r.Status != 400 || r.Error != "invalid_grant":
					t.Errorf("%d %s", r.Status, r.Body)
				}
			}
			if len(won) != 1 || w.status(won[0].Access) != 200 || won[0].Scope != "read write" {
				t.Fatalf("%+v", won)
			}
			if next := w.post(w.Token(), "", "grant_type", "refresh_token", "client_id", "tv", "refresh_token", won[0].Refresh); next.Status != 200 || w.status(next.Access) != 200 {
				t.Errorf("%+v", next)
			}
		})
		t.Run("logged out in between", func(t *testing.T) {
			alice := w.alice("s1")
			b, late := w.begin(), w.begin()
			w.decides(alice, b.User, "allow")
			handle := handleOf(t, w.device(alice, "POST", "user_code="+late.User))
			_, err := w.s.BumpEpoch(t.Context(), "id-alice")
			must(t, err)
			if got := w.poll("tv", b.Device); got.Error != "invalid_grant" {
				t.Errorf("%s", got.Body)
			}
			if rec := w.device(alice, "POST", "handle="+handle+"&decision=allow"); rec.Code != 403 {
				t.Errorf("%d", rec.Code)
			}
			if got := w.poll("tv", late.Device); got.Error != "authorization_pending" {
				t.Errorf("%s", got.Body)
			}
		})
	})
}

func TestDevicePage(t *testing.T) {
	w := newDevices(t, memory.New(nil), nil)
	alice := w.alice("s1")
	t.Run("attack_181_link", func(t *testing.T) {
		b := w.begin("scope", "write")
		if b.Page != issuer+"/oauth2/device" || b.Complete != b.Page+"?user_code="+b.User || b.Expires != 600 || b.Interval != 5 || len(b.User) != 9 || b.User[4] != '-' {
			t.Errorf("%+v", b)
		}
		rec := w.device(alice, "GET", strings.TrimPrefix(b.Complete, b.Page+"?")+"&decision=allow")
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), `name="user_code" value="`+b.User+`"`) || strings.Contains(rec.Body.String(), `name="decision"`) {
			t.Errorf("%d %s: a form for the code and nothing more", rec.Code, rec.Body)
		}
		rec = w.device(alice, "POST", "user_code="+b.User+"&decision=allow") // though the client is trusted
		handle := handleOf(t, rec)
		for _, text := range []string{b.User, "Big &lt;tv&gt;", "alice", "Write", "began this yourself", `name="decision" value="allow"`, `name="decision" value="deny"`, `name="csrfmiddlewaretoken" value="token of id-alice"`} {
			if !strings.Contains(rec.Body.String(), text) {
				t.Errorf("the page does not say %q", text)
			}
		}
		if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "form-action") || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v", rec.Header())
		}
		if got := w.poll("tv", b.Device); got.Error != "authorization_pending" {
			t.Errorf("before the decision: %s", got.Body)
		}
		w.take()
		if rec := w.device(alice, "POST", "handle="+handle+"&decision=allow"); rec.Code != 200 || w.take() != "authorized" {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		got := w.poll("tv", b.Device)
		if id, err := w.identity(got.Access); err != nil || id.Subject != "id-alice" || id.Client != "tv" || len(id.Roles) != 0 || got.Scope != "write" || w.take() != "granted" {
			t.Errorf("%+v, %v", id, err)
		}
	})
	t.Run("bound", func(t *testing.T) {
		b := w.begin()
		bob, scoped := *alice, *alice
		bob.Subject, scoped.Scopes = "id-bob", []string{"read"}
		handle := handleOf(t, w.device(alice, "POST", "user_code="+b.User))
		for what, id := range map[string]*authn.Identity{"another session": w.alice("s2"), "another user": &bob, "limited": &scoped} {
			if rec := w.device(id, "POST", "handle="+handle+"&decision=allow"); rec.Code != 403 {
				t.Errorf("%s: %d", what, rec.Code)
			}
		}
		other := handleOf(t, w.authorize(alice, "GET", query("app"), ""))
		if rec := w.device(alice, "POST", "handle="+other+"&decision=allow"); rec.Code != 403 {
			t.Errorf("the consent page's handle: %d", rec.Code)
		}
		if rec := w.authorize(alice, "POST", "", "handle="+handle+"&decision=allow"); rec.Code != 403 {
			t.Errorf("the consent page with a handle of this one: %d", rec.Code)
		}
		if rec := w.device(alice, "POST", "handle="+handle+"&decision=perhaps"); rec.Code != 400 {
			t.Errorf("no decision: %d", rec.Code)
		}
		for _, body := range []string{"handle=" + handle + "&decision=allow", "handle=x&decision=allow", "handle=&decision=allow"} {
			if rec := w.device(alice, "POST", body); rec.Code != 400 {
				t.Errorf("%.12s: %d", body, rec.Code)
			}
		}
		first, second := handleOf(t, w.device(alice, "POST", "user_code="+b.User)), handleOf(t, w.device(alice, "POST", "user_code="+b.User))
		w.device(alice, "POST", "handle="+first+"&decision=deny")
		if rec := w.device(alice, "POST", "handle="+second+"&decision=allow"); rec.Code != 400 || w.poll("tv", b.Device).Error != "access_denied" {
			t.Errorf("denied, then allowed: %d", rec.Code)
		}
		b = w.begin()
		w.pass(9 * time.Minute)
		handle = handleOf(t, w.device(alice, "POST", "user_code="+b.User))
		w.pass(time.Minute)
		if rec := w.device(alice, "POST", "handle="+handle+"&decision=allow"); rec.Code != 400 {
			t.Errorf("expired meanwhile: %d", rec.Code)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		for _, q := range []struct{ method, text, next string }{
			{"GET", "user_code=BCDF-GHJK", "/oauth2/device?user_code=BCDF-GHJK"}, {"GET", "", "/oauth2/device"}, {"POST", "user_code=BCDF-GHJK", "/oauth2/device"},
		} {
			if rec := w.device(nil, q.method, q.text); rec.Code != 303 || rec.Header().Get("Location") != "/login?next="+url.QueryEscape(q.next) {
				t.Errorf("%d to %q", rec.Code, rec.Header().Get("Location"))
			}
		}
		scoped := *alice
		scoped.Scopes = []string{"read"}
		for _, id := range []*authn.Identity{&scoped, {Subject: "id-alice", Scheme: "basic"}} {
			for _, method := range []string{"GET", "POST"} {
				if rec := w.device(id, method, "user_code=x"); rec.Code != 403 {
					t.Errorf("%s by %s: %d", method, id.Scheme, rec.Code)
				}
			}
		}
		if rec := w.device(alice, "PUT", ""); rec.Code != 405 || rec.Header().Get("Allow") != "GET, POST" {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
		if rec := w.device(alice, "GET", "user_code=%22%3E%3Cscript%3E"); rec.Code != 200 || !strings.Contains(rec.Body.String(), `name="user_code" value=""`) {
			t.Errorf("what is no code is not shown: %s", rec.Body)
		}
	})
	t.Run("ended codes", func(t *testing.T) {
		used, late := w.begin(), w.begin()
		w.decides(alice, used.User, "allow")
		if rec := w.device(alice, "POST", "user_code="+used.User); rec.Code != 400 {
			t.Errorf("decided: %d", rec.Code)
		}
		w.pass(10 * time.Minute)
		if rec := w.device(alice, "POST", "user_code="+late.User); rec.Code != 400 {
			t.Errorf("expired: %d", rec.Code)
		}
	})
	t.Run("clients", func(t *testing.T) {
		b := w.begin()
		c, err := w.s.ClientByID(t.Context(), "tv")
		must(t, err)
		c.Grants = []string{oauth2.DeviceCode}
		must(t, w.s.UpdateClient(t.Context(), c))
		w.decides(alice, b.User, "allow")
		if got := w.poll("tv", b.Device); got.Status != 200 || got.Refresh != "" {
			t.Errorf("without the refresh grant: %+v", got)
		}
		b = w.begin()
		c.Disabled = true
		must(t, w.s.UpdateClient(t.Context(), c))
		if rec := w.device(alice, "POST", "user_code="+b.User); rec.Code != 400 {
			t.Errorf("%d", rec.Code)
		}
		c.Disabled = false
		must(t, w.s.UpdateClient(t.Context(), c))
	})
	t.Run("faults", func(t *testing.T) {
		b := w.begin()
		w.s.fail.Store(true)
		defer w.s.fail.Store(false)
		if rec := w.device(alice, "POST", "user_code="+b.User); rec.Code != 503 {
			t.Errorf("the page: %d", rec.Code)
		}
		if got := w.poll("tv", b.Device); got.Status != 503 {
			t.Errorf("a poll: %d", got.Status)
		}
		if got := w.post(w.DeviceAuthorization(), "", "client_id", "tv"); got.Status != 503 {
			t.Errorf("the beginning: %d", got.Status)
		}
	})
}

// Few codes can be tried, and what is right is taken however it is typed.
func TestUserCodes(t *testing.T) {
	alice, bob := new(authn.Identity), authn.Identity{}
	fresh := func(t *testing.T, s store, change func(*oauth2.Options)) *world {
		w := newDevices(t, s, change)
		must(t, s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
		alice = w.alice("s1")
		bob = *alice
		bob.Subject = "id-bob"
		return w
	}
	t.Run("attack_180_guesses", func(t *testing.T) {
		each(t, func(t *testing.T, s store) {
			w := fresh(t, s, nil)
			b := w.begin()
			statuses := make([]int, 64)
			var wg sync.WaitGroup
			for i := range statuses {
				wg.Go(func() { statuses[i] = w.device(alice, "POST", "user_code=BCDF-GHJK").Code })
			}
			wg.Wait()
			tried := 0
			for _, code := range statuses {
				if code == 400 {
					tried++
				} else if code != http.StatusTooManyRequests {
					t.Errorf("%d", code)
				}
			}
			if tried != 10 {
				t.Errorf("%d tries", tried)
			}
			rec := w.device(alice, "POST", "user_code="+b.User)
			if rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") != "900" {
				t.Errorf("the right one then: %d, %v", rec.Code, rec.Header())
			}
			if rec := w.deviceFrom(alice, "198.51.100.7:1", "POST", "user_code="+b.User); rec.Code != http.StatusTooManyRequests {
				t.Errorf("from elsewhere: %d", rec.Code)
			}
			if rec := w.device(&bob, "POST", "user_code="+b.User); rec.Code != http.StatusTooManyRequests {
				t.Errorf("another user from there: %d", rec.Code)
			}
			handleOf(t, w.deviceFrom(&bob, "198.51.100.7:1", "POST", "user_code="+b.User))
			w.pass(15 * time.Minute)
			handleOf(t, w.device(alice, "POST", "user_code="+w.begin().User))
		})
	})
	t.Run("attack_180_right_ones_cost_nothing", func(t *testing.T) {
		w := fresh(t, memory.New(nil), nil)
		for range 9 {
			w.device(alice, "POST", "user_code=wrong")
		}
		for range 20 {
			handleOf(t, w.device(alice, "POST", "user_code="+w.begin().User))
		}
		if rec := w.device(alice, "POST", "user_code=wrong"); rec.Code != 400 {
			t.Errorf("the tenth: %d", rec.Code)
		}
		if rec := w.device(alice, "POST", "user_code="+w.begin().User); rec.Code != http.StatusTooManyRequests {
			t.Errorf("after ten: %d", rec.Code)
		}
	})
	t.Run("attack_180_typed", func(t *testing.T) {
		w := fresh(t, memory.New(nil), nil)
		for all, code := range map[constant]struct {
			shown string
			typed []string
		}{
			0xff: {"TBZR-GSPK", []string{"TBZR-GSPK", "tbzr-gspk", "tbzrgspk", " t b z r – g s p k ", "t82r 65pk", "tbzr.gspk"}},
			0x98: {"VSTV-QLNG", []string{"u5tu01n6", "USTVOING", "ustuolng"}},
		} {
			w := fresh(t, memory.New(nil), func(o *oauth2.Options) { o.Rand = all })
			if b := w.begin(); b.User != code.shown {
				t.Fatalf("the test is for another code: %s", b.User)
			}
			for _, typed := range code.typed {
				if rec := w.device(alice, "POST", "user_code="+url.QueryEscape(typed)); rec.Code != 200 || !strings.Contains(rec.Body.String(), code.shown) {
					t.Errorf("%q: %d", typed, rec.Code)
				}
				must(t, w.s.TakeAuthRequest(t.Context(), storage.DigestOf(handle(all)))) // drawn alike
			}
		}
		for _, typed := range []string{"WLHB-PSK", "WLHB-PSKGG", "WLHB-PSKH", "WLHB-PSKÄ", strings.Repeat("-", 60) + "WLHBPSKG"} {
			if rec := w.device(alice, "POST", "user_code="+url.QueryEscape(typed)); rec.Code != 400 {
				t.Errorf("%q: %d", typed, rec.Code)
			}
		}
		if rec := w.device(alice, "POST", "user_code="); rec.Code != 400 {
			t.Errorf("nothing: %d", rec.Code)
		}
	})
	t.Run("sources", func(t *testing.T) {
		proxies, err := authn.NewTrustedProxies("192.0.2.0/24")
		must(t, err)
		w := fresh(t, memory.New(nil), func(o *oauth2.Options) { o.Proxies = proxies })
		send := func(from string) int {
			r := httptest.NewRequest("POST", issuer+"/oauth2/device", strings.NewReader("user_code=wrong"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-Forwarded-For", from)
			id := bob
			id.Subject = "id-" + from[len(from)-1:] + string(rune('a'+w.n.Add(1)))
			rec := httptest.NewRecorder()
			w.Device("/login").ServeHTTP(rec, authntest.As(r, id))
			return rec.Code
		}
		for range 10 {
			send("203.0.113.7")
		}
		if a, b := send("203.0.113.7"), send("203.0.113.8"); a != http.StatusTooManyRequests || b != 400 {
			t.Errorf("%d, %d", a, b)
		}
	})
	t.Run("key rotation", func(t *testing.T) {
		s := memory.New(nil)
		old, next := keys.Generate(), keys.Generate()
		w := fresh(t, s, func(o *oauth2.Options) { o.Keys = newRing(t, old) })
		b := w.begin()
		for want, masters := range map[int][][]byte{200: {next, old}, 400: {next}} {
			opts := oauth2.Options{Scopes: map[string]string{"read": ""}, Keys: newRing(t, masters...), Clock: w.clock}
			withSessions(&opts)
			var err error
			w.Server, err = oauth2.New(issuer, s, &opts)
			must(t, err)
			if rec := w.device(alice, "POST", "user_code="+b.User); rec.Code != want {
				t.Errorf("%d, want %d", rec.Code, want)
			}
		}
	})
}

// constant is a source of bytes that are all alike.
type constant byte

func (c constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

// handle is the one that such a source gives.
func handle(c constant) string {
	var body [tokentext.Size]byte
	_, _ = c.Read(body[:])
	return tokentext.Encode("vco", body)
}

func TestDeviceAuthorization(t *testing.T) {
	w := newDevices(t, memory.New(nil), nil)
	t.Run("attack_072_no_store", func(t *testing.T) {
		if got := w.post(w.DeviceAuthorization(), "", "client_id", "tv"); got.Status != 200 || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", got.Status, got.Header)
		}
	})
	for what, c := range map[string]struct {
		want  string
		pairs []string
	}{
		"another grant's client": {"unauthorized_client", []string{"client_id", "spa"}}, "unknown client": {"invalid_client", []string{"client_id", "x"}}, "no client": {"invalid_client", nil},
		"scope": {"invalid_scope", []string{"client_id", "tv", "scope", "admin"}}, "resource": {"invalid_target", []string{"client_id", "tv", "resource", "https://other.example"}},
		"twice": {"invalid_request", []string{"client_id", "tv", "scope", "read", "scope", "read"}},
	} {
		if got := w.post(w.DeviceAuthorization(), "", c.pairs...); got.Error != c.want || got.Status < 400 {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
	r := httptest.NewRequest("GET", issuer+"/oauth2/device_authorization", nil)
	if got := w.send(w.DeviceAuthorization(), r, ""); got.Status != 405 {
		t.Errorf("GET: %d", got.Status)
	}
	b := w.begin("scope", "read", "resource", "https://api.example")
	for what, c := range map[string]struct {
		want  string
		reply reply
	}{
		"no code":          {"invalid_request", w.post(w.Token(), "", "grant_type", oauth2.DeviceCode, "client_id", "tv")},
		"junk":             {"invalid_grant", w.poll("tv", "x")},
		"another's client": {"unauthorized_client", w.poll("spa", b.Device)},
		"the user's code":  {"invalid_grant", w.poll("tv", b.User)},
	} {
		if c.reply.Error != c.want || c.reply.Status != 400 {
			t.Errorf("%s: %d %s", what, c.reply.Status, c.reply.Body)
		}
	}
	w.decides(w.alice("s1"), b.User, "allow")
	if got := w.poll("tv", b.Device, "resource", "https://files.example"); got.Error != "invalid_target" {
		t.Errorf("a resource that nobody allowed: %s", got.Body)
	}
	if got := w.poll("tv", b.Device); got.Status != 200 {
		t.Errorf("which claims nothing: %s", got.Body)
	}
	if strings.Contains(w.log.String(), b.Device) || strings.Contains(w.log.String(), b.User) {
		t.Error("a code is in the log")
	}
}

func TestDeviceOptions(t *testing.T) {
	for what, change := range map[string]func(*oauth2.Options){
		"short": func(o *oauth2.Options) { o.DeviceTTL = time.Millisecond }, "long": func(o *oauth2.Options) { o.DeviceTTL = 31 * time.Minute },
		"no page": func(o *oauth2.Options) { o.Keys, o.Endpoints.Device = newRing(t, keys.Generate()), "-" },
	} {
		o := oauth2.Options{Scopes: map[string]string{"read": ""}}
		change(&o)
		if _, err := oauth2.New(issuer, memory.New(nil), &o); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	document := func(w *world) string {
		rec := httptest.NewRecorder()
		w.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		return rec.Body.String()
	}
	w := newDevices(t, memory.New(nil), func(o *oauth2.Options) { o.DeviceTTL, o.Endpoints.Device = time.Minute, "/tv" })
	if b := w.begin(); b.Expires != 60 || b.Page != issuer+"/tv" {
		t.Errorf("%+v", b)
	}
	if text := document(w); !strings.Contains(text, `"device_authorization_endpoint":"`+issuer+`/oauth2/device_authorization"`) || !strings.Contains(text, oauth2.DeviceCode) {
		t.Error(text)
	}
	w = newWorld(t, memory.New(nil), withSessions) // without keys
	if text := document(w); strings.Contains(text, "device") {
		t.Error(text)
	}
	if got := w.post(w.Token(), "app", "grant_type", oauth2.DeviceCode, "device_code", "x"); got.Error != "unsupported_grant_type" {
		t.Errorf("%s", got.Body)
	}
	for what, f := range map[string]func(){"DeviceAuthorization": func() { w.DeviceAuthorization() }, "Device": func() { w.Device("/login") }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s without Options.Keys", what)
				}
			}()
			f()
		}()
	}
	tv := storage.Client{ID: "tv", Method: oauth2.None, Grants: []string{oauth2.DeviceCode, oauth2.RefreshToken}}
	if err := oauth2.CheckClient(tv); err != nil {
		t.Errorf("a client that needs no redirect URI: %v", err)
	}
}
