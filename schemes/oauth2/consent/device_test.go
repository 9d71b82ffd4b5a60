package consent_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestDevice(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewDevices(t, s, nil)
		alice := w.Alice("s1")
		t.Run("attack_178_polls", func(t *testing.T) {
			b := w.Begin("scope", "read")
			is := func(want string) {
				t.Helper()
				got := w.Poll("tv", b.Device)
				if got.Error != want || want == "" && got.Status != 200 || want != "" && (got.Status != 400 || got.Access != "") || got.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%d %s, want %q", got.Status, got.Body, want)
				}
			}
			is("authorization_pending")
			w.Pass(5 * time.Second)
			is("authorization_pending")
			w.Pass(4 * time.Second)
			is("slow_down") // 10 seconds from now on
			w.Pass(9 * time.Second)
			is("slow_down") // 15
			w.Pass(15 * time.Second)
			is("authorization_pending")
			for range 3 {
				is("slow_down") // 30
			}
			w.Pass(29 * time.Second)
			is("slow_down")
			if rec := w.Decides(alice, b.User, "allow"); rec.Code != 200 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			is("")
			is("invalid_grant")
			w.Pass(time.Hour)
			is("invalid_grant")

			b = w.Begin()
			w.Decides(alice, b.User, "deny")
			is("access_denied")
			is("access_denied")
			b = w.Begin()
			w.Pass(10*time.Minute - time.Microsecond)
			is("authorization_pending")
			w.Pass(time.Microsecond)
			is("expired_token")
			b = w.Begin()
			w.Decides(alice, b.User, "allow")
			w.Pass(10 * time.Minute)
			is("expired_token")
		})
		t.Run("attack_182_another_client", func(t *testing.T) {
			b := w.Begin()
			for range 2 {
				if got := w.Poll("radio", b.Device); got.Status != 400 || got.Error != "invalid_grant" {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			}
			if got := w.Poll("tv", b.Device); got.Error != "authorization_pending" {
				t.Errorf("%s: another client's polls count for nothing", got.Body)
			}
			w.Decides(alice, b.User, "allow")
			if got := w.Poll("radio", b.Device); got.Error != "invalid_grant" {
				t.Errorf("approved: %s", got.Body)
			}
			if got := w.Poll("tv", b.Device); got.Status != 200 {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
		t.Run("attack_179_concurrent_polls", func(t *testing.T) {
			b := w.Begin("scope", "read write", "resource", "https://api.example")
			w.Decides(alice, b.User, "allow")
			got := make([]oauthtest.Reply, 64)
			var wg sync.WaitGroup
			for i := range got {
				wg.Go(func() { got[i] = w.Poll("tv", b.Device) })
			}
			wg.Wait()
			var won []oauthtest.Reply
			for _, r := range got {
				switch {
				case r.Status == 200:
					won = append(won, r)
				case r.Status != 400 || r.Error != "invalid_grant":
					t.Errorf("%d %s", r.Status, r.Body)
				}
			}
			if len(won) != 1 || w.Status(won[0].Access) != 200 || won[0].Scope != "read write" {
				t.Fatalf("%+v", won)
			}
			if next := w.Post(w.Token(), "", "grant_type", "refresh_token", "client_id", "tv", "refresh_token", won[0].Refresh); next.Status != 200 || w.Status(next.Access) != 200 {
				t.Errorf("%+v", next)
			}
		})
		t.Run("logged out in between", func(t *testing.T) {
			alice := w.Alice("s1")
			b, late := w.Begin(), w.Begin()
			w.Decides(alice, b.User, "allow")
			handle := oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+late.User))
			_, err := w.DB.BumpEpoch(t.Context(), "id-alice")
			oauthtest.Must(t, err)
			if got := w.Poll("tv", b.Device); got.Error != "invalid_grant" {
				t.Errorf("%s", got.Body)
			}
			if rec := w.DevicePage(alice, "POST", "handle="+handle+"&decision=allow"); rec.Code != 403 {
				t.Errorf("%d", rec.Code)
			}
			if got := w.Poll("tv", late.Device); got.Error != "authorization_pending" {
				t.Errorf("%s", got.Body)
			}
		})
	})
}

func TestDevicePage(t *testing.T) {
	w := oauthtest.NewDevices(t, memory.New(nil), nil)
	alice := w.Alice("s1")
	t.Run("attack_181_link", func(t *testing.T) {
		b := w.Begin("scope", "write")
		if b.Page != oauthtest.Issuer+"/oauth2/device" || b.Complete != b.Page+"?user_code="+b.User || b.Expires != 600 || b.Interval != 5 || len(b.User) != 9 || b.User[4] != '-' {
			t.Errorf("%+v", b)
		}
		rec := w.DevicePage(alice, "GET", strings.TrimPrefix(b.Complete, b.Page+"?")+"&decision=allow")
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), `name="user_code" value="`+b.User+`"`) || strings.Contains(rec.Body.String(), `name="decision"`) {
			t.Errorf("%d %s: a form for the code and nothing more", rec.Code, rec.Body)
		}
		rec = w.DevicePage(alice, "POST", "user_code="+b.User+"&decision=allow") // though the client is trusted
		handle := oauthtest.HandleOf(t, rec)
		for _, text := range []string{b.User, "Big &lt;tv&gt;", "alice", "Write", "began this yourself", `name="decision" value="allow"`, `name="decision" value="deny"`, `name="csrfmiddlewaretoken" value="token of id-alice"`} {
			if !strings.Contains(rec.Body.String(), text) {
				t.Errorf("the page does not say %q", text)
			}
		}
		if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "form-action") || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v", rec.Header())
		}
		if got := w.Poll("tv", b.Device); got.Error != "authorization_pending" {
			t.Errorf("before the decision: %s", got.Body)
		}
		w.Take()
		if rec := w.DevicePage(alice, "POST", "handle="+handle+"&decision=allow"); rec.Code != 200 || w.Take() != "device.approved" {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		got := w.Poll("tv", b.Device)
		if id, err := w.Identity(got.Access); err != nil || id.Subject != "id-alice" || id.Client != "tv" || len(id.Roles) != 0 || got.Scope != "write" || w.Take() != "token.created" {
			t.Errorf("%+v, %v", id, err)
		}
	})
	t.Run("denied", func(t *testing.T) {
		handle := oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+w.Begin().User))
		w.Take()
		rec := w.DevicePage(alice, "POST", "handle="+handle+"&decision=deny")
		if got := w.Events(); rec.Code != 200 || len(got) != 1 || got[0].Kind != "device.denied" || got[0].Outcome != "rejected" || got[0].Client != "tv" || got[0].Subject != "id-alice" || got[0].Session == "" {
			t.Errorf("%d, events %+v", rec.Code, got)
		}
	})
	t.Run("bound", func(t *testing.T) {
		b := w.Begin()
		bob, scoped := *alice, *alice
		bob.Subject, scoped.Scopes = "id-bob", []string{"read"}
		handle := oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+b.User))
		for what, id := range map[string]*authn.Identity{"another session": w.Alice("s2"), "another user": &bob, "limited": &scoped} {
			if rec := w.DevicePage(id, "POST", "handle="+handle+"&decision=allow"); rec.Code != 403 {
				t.Errorf("%s: %d", what, rec.Code)
			}
		}
		other := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""))
		if rec := w.DevicePage(alice, "POST", "handle="+other+"&decision=allow"); rec.Code != 403 {
			t.Errorf("the consent page's handle: %d", rec.Code)
		}
		if rec := w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow"); rec.Code != 403 {
			t.Errorf("the consent page with a handle of this one: %d", rec.Code)
		}
		if rec := w.DevicePage(alice, "POST", "handle="+handle+"&decision=perhaps"); rec.Code != 400 {
			t.Errorf("no decision: %d", rec.Code)
		}
		for _, body := range []string{"handle=" + handle + "&decision=allow", "handle=x&decision=allow", "handle=&decision=allow"} {
			if rec := w.DevicePage(alice, "POST", body); rec.Code != 400 {
				t.Errorf("%.12s: %d", body, rec.Code)
			}
		}
		first, second := oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+b.User)), oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+b.User))
		w.DevicePage(alice, "POST", "handle="+first+"&decision=deny")
		if rec := w.DevicePage(alice, "POST", "handle="+second+"&decision=allow"); rec.Code != 400 || w.Poll("tv", b.Device).Error != "access_denied" {
			t.Errorf("denied, then allowed: %d", rec.Code)
		}
		b = w.Begin()
		w.Pass(9 * time.Minute)
		handle = oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+b.User))
		w.Pass(time.Minute)
		if rec := w.DevicePage(alice, "POST", "handle="+handle+"&decision=allow"); rec.Code != 400 {
			t.Errorf("expired meanwhile: %d", rec.Code)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		for _, q := range []struct{ method, text, next string }{
			{"GET", "user_code=BCDF-GHJK", "/oauth2/device?user_code=BCDF-GHJK"}, {"GET", "", "/oauth2/device"}, {"POST", "user_code=BCDF-GHJK", "/oauth2/device"},
		} {
			if rec := w.DevicePage(nil, q.method, q.text); rec.Code != 303 || rec.Header().Get("Location") != "/login?next="+url.QueryEscape(q.next) {
				t.Errorf("%d to %q", rec.Code, rec.Header().Get("Location"))
			}
		}
		scoped := *alice
		scoped.Scopes = []string{"read"}
		for _, id := range []*authn.Identity{&scoped, {Subject: "id-alice", Scheme: "basic"}} {
			for _, method := range []string{"GET", "POST"} {
				if rec := w.DevicePage(id, method, "user_code=x"); rec.Code != 403 {
					t.Errorf("%s by %s: %d", method, id.Scheme, rec.Code)
				}
			}
		}
		if rec := w.DevicePage(alice, "PUT", ""); rec.Code != 405 || rec.Header().Get("Allow") != "GET, POST" {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
		if rec := w.DevicePage(alice, "GET", "user_code=%22%3E%3Cscript%3E"); rec.Code != 200 || !strings.Contains(rec.Body.String(), `name="user_code" value=""`) {
			t.Errorf("what is no code is not shown: %s", rec.Body)
		}
	})
	t.Run("ended codes", func(t *testing.T) {
		used, late := w.Begin(), w.Begin()
		w.Decides(alice, used.User, "allow")
		if rec := w.DevicePage(alice, "POST", "user_code="+used.User); rec.Code != 400 {
			t.Errorf("decided: %d", rec.Code)
		}
		w.Pass(10 * time.Minute)
		if rec := w.DevicePage(alice, "POST", "user_code="+late.User); rec.Code != 400 {
			t.Errorf("expired: %d", rec.Code)
		}
	})
	t.Run("clients", func(t *testing.T) {
		b := w.Begin()
		c, err := w.DB.ClientByID(t.Context(), "tv")
		oauthtest.Must(t, err)
		c.Grants = []string{oauth2.DeviceCode}
		oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
		w.Decides(alice, b.User, "allow")
		if got := w.Poll("tv", b.Device); got.Status != 200 || got.Refresh != "" {
			t.Errorf("without the refresh grant: %+v", got)
		}
		b = w.Begin()
		c.Disabled = true
		oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
		if rec := w.DevicePage(alice, "POST", "user_code="+b.User); rec.Code != 400 {
			t.Errorf("%d", rec.Code)
		}
		c.Disabled = false
		oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
	})
	t.Run("faults", func(t *testing.T) {
		b := w.Begin()
		w.DB.Fail.Store(true)
		defer w.DB.Fail.Store(false)
		if rec := w.DevicePage(alice, "POST", "user_code="+b.User); rec.Code != 503 {
			t.Errorf("the page: %d", rec.Code)
		}
		if got := w.Poll("tv", b.Device); got.Status != 503 {
			t.Errorf("a poll: %d", got.Status)
		}
		if got := w.Post(w.DeviceAuthorization(), "", "client_id", "tv"); got.Status != 503 {
			t.Errorf("the beginning: %d", got.Status)
		}
	})
}

// Few codes can be tried, and what is right is taken however it is typed.
func TestUserCodes(t *testing.T) {
	alice, bob := new(authn.Identity), authn.Identity{}
	fresh := func(t *testing.T, s oauthtest.Store, change func(*oauthtest.Options)) *oauthtest.World {
		w := oauthtest.NewDevices(t, s, change)
		oauthtest.Must(t, s.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
		alice = w.Alice("s1")
		bob = *alice
		bob.Subject = "id-bob"
		return w
	}
	t.Run("attack_180_guesses", func(t *testing.T) {
		oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
			w := fresh(t, s, nil)
			b := w.Begin()
			statuses := make([]int, 64)
			var wg sync.WaitGroup
			for i := range statuses {
				wg.Go(func() { statuses[i] = w.DevicePage(alice, "POST", "user_code=BCDF-GHJK").Code })
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
			rec := w.DevicePage(alice, "POST", "user_code="+b.User)
			if rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") != "900" {
				t.Errorf("the right one then: %d, %v", rec.Code, rec.Header())
			}
			if rec := w.DeviceFrom(alice, "198.51.100.7:1", "POST", "user_code="+b.User); rec.Code != http.StatusTooManyRequests {
				t.Errorf("from elsewhere: %d", rec.Code)
			}
			t.Run("attack_320_a_neighbour", func(t *testing.T) {
				oauthtest.HandleOf(t, w.DevicePage(&bob, "POST", "user_code="+b.User))
			})
			w.Pass(15 * time.Minute)
			oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+w.Begin().User))
		})
	})
	t.Run("attack_180_right_ones_cost_nothing", func(t *testing.T) {
		w := fresh(t, memory.New(nil), nil)
		for range 9 {
			w.DevicePage(alice, "POST", "user_code=wrong")
		}
		for range 20 {
			oauthtest.HandleOf(t, w.DevicePage(alice, "POST", "user_code="+w.Begin().User))
		}
		if rec := w.DevicePage(alice, "POST", "user_code=wrong"); rec.Code != 400 {
			t.Errorf("the tenth: %d", rec.Code)
		}
		if rec := w.DevicePage(alice, "POST", "user_code="+w.Begin().User); rec.Code != http.StatusTooManyRequests {
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
			w := fresh(t, memory.New(nil), func(o *oauthtest.Options) { o.Rand = all })
			if b := w.Begin(); b.User != code.shown {
				t.Fatalf("the test is for another code: %s", b.User)
			}
			for _, typed := range code.typed {
				if rec := w.DevicePage(alice, "POST", "user_code="+url.QueryEscape(typed)); rec.Code != 200 || !strings.Contains(rec.Body.String(), code.shown) {
					t.Errorf("%q: %d", typed, rec.Code)
				}
				oauthtest.Must(t, w.DB.ConsumeAuthRequest(t.Context(), storage.DigestOf(handle(all)))) // drawn alike
			}
		}
		for _, typed := range []string{"WLHB-PSK", "WLHB-PSKGG", "WLHB-PSKH", "WLHB-PSKÄ", strings.Repeat("-", 60) + "WLHBPSKG"} {
			if rec := w.DevicePage(alice, "POST", "user_code="+url.QueryEscape(typed)); rec.Code != 400 {
				t.Errorf("%q: %d", typed, rec.Code)
			}
		}
		if rec := w.DevicePage(alice, "POST", "user_code="); rec.Code != 400 {
			t.Errorf("nothing: %d", rec.Code)
		}
	})
	t.Run("sources", func(t *testing.T) {
		proxies, err := authn.NewTrustedProxies("192.0.2.0/24")
		oauthtest.Must(t, err)
		w := fresh(t, memory.New(nil), func(o *oauthtest.Options) { o.Proxies = proxies })
		send := func(from string) int {
			r := httptest.NewRequest("POST", oauthtest.Issuer+"/oauth2/device", strings.NewReader("user_code=wrong"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-Forwarded-For", from)
			id := bob
			id.Subject = "id-" + from[len(from)-1:] + string(rune('a'+w.N.Add(1)))
			rec := httptest.NewRecorder()
			w.Device("/login").ServeHTTP(rec, authntest.As(r, id))
			return rec.Code
		}
		for range 100 { // by as many users
			send("203.0.113.7")
		}
		if a, b := send("203.0.113.7"), send("203.0.113.8"); a != http.StatusTooManyRequests || b != 400 {
			t.Errorf("%d, %d", a, b)
		}
	})
	t.Run("key rotation", func(t *testing.T) {
		s := memory.New(nil)
		old, next := keys.Generate(), keys.Generate()
		w := fresh(t, s, func(o *oauthtest.Options) { o.Keys = oauthtest.NewRing(t, old) })
		b := w.Begin()
		for want, masters := range map[int][][]byte{200: {next, old}, 400: {next}} {
			opts := oauthtest.Options{Scopes: map[string]string{"read": ""}, Keys: oauthtest.NewRing(t, masters...), Clock: w.Clock}
			oauthtest.WithSessions(&opts)
			var err error
			w.Server, err = oauthtest.New(oauthtest.Issuer, s, &opts)
			oauthtest.Must(t, err)
			if rec := w.DevicePage(alice, "POST", "user_code="+b.User); rec.Code != want {
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
	var body [credential.Size]byte
	_, _ = c.Read(body[:])
	return credential.MustFormat("vco").Encode(body)
}

func TestDeviceAuthorization(t *testing.T) {
	w := oauthtest.NewDevices(t, memory.New(nil), nil)
	t.Run("attack_072_no_store", func(t *testing.T) {
		if got := w.Post(w.DeviceAuthorization(), "", "client_id", "tv"); got.Status != 200 || got.Header.Get("Cache-Control") != "no-store" {
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
		if got := w.Post(w.DeviceAuthorization(), "", c.pairs...); got.Error != c.want || got.Status < 400 {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
	r := httptest.NewRequest("GET", oauthtest.Issuer+"/oauth2/device_authorization", nil)
	if got := w.Send(w.DeviceAuthorization(), r, ""); got.Status != 405 {
		t.Errorf("GET: %d", got.Status)
	}
	b := w.Begin("scope", "read", "resource", "https://api.example")
	for what, c := range map[string]struct {
		want  string
		reply oauthtest.Reply
	}{
		"no code":          {"invalid_request", w.Post(w.Token(), "", "grant_type", oauth2.DeviceCode, "client_id", "tv")},
		"junk":             {"invalid_grant", w.Poll("tv", "x")},
		"another's client": {"unauthorized_client", w.Poll("spa", b.Device)},
		"the user's code":  {"invalid_grant", w.Poll("tv", b.User)},
	} {
		if c.reply.Error != c.want || c.reply.Status != 400 {
			t.Errorf("%s: %d %s", what, c.reply.Status, c.reply.Body)
		}
	}
	w.Decides(w.Alice("s1"), b.User, "allow")
	if got := w.Poll("tv", b.Device, "resource", "https://files.example"); got.Error != "invalid_target" {
		t.Errorf("a resource that nobody allowed: %s", got.Body)
	}
	if got := w.Poll("tv", b.Device); got.Status != 200 {
		t.Errorf("which claims nothing: %s", got.Body)
	}
	if strings.Contains(w.Log.String(), b.Device) || strings.Contains(w.Log.String(), b.User) {
		t.Error("a code is in the log")
	}
}

func TestDeviceOptions(t *testing.T) {
	for what, change := range map[string]func(*oauthtest.Options){
		"short": func(o *oauthtest.Options) { o.DeviceTTL = time.Millisecond }, "long": func(o *oauthtest.Options) { o.DeviceTTL = 31 * time.Minute },
		"no page": func(o *oauthtest.Options) { o.Keys, o.Endpoints.Device = oauthtest.NewRing(t, keys.Generate()), "-" },
	} {
		o := oauthtest.Options{Scopes: map[string]string{"read": ""}}
		change(&o)
		if _, err := oauthtest.New(oauthtest.Issuer, memory.New(nil), &o); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	document := func(w *oauthtest.World) string {
		rec := httptest.NewRecorder()
		w.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		return rec.Body.String()
	}
	w := oauthtest.NewDevices(t, memory.New(nil), func(o *oauthtest.Options) { o.DeviceTTL, o.Endpoints.Device = time.Minute, "/tv" })
	if b := w.Begin(); b.Expires != 60 || b.Page != oauthtest.Issuer+"/tv" {
		t.Errorf("%+v", b)
	}
	if text := document(w); !strings.Contains(text, `"device_authorization_endpoint":"`+oauthtest.Issuer+`/oauth2/device_authorization"`) || !strings.Contains(text, oauth2.DeviceCode) {
		t.Error(text)
	}
	w = oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions) // without keys
	if text := document(w); strings.Contains(text, "device") {
		t.Error(text)
	}
	if got := w.Post(w.Token(), "app", "grant_type", oauth2.DeviceCode, "device_code", "x"); got.Error != "unsupported_grant_type" {
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
