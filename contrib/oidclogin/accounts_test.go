package oidclogin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The session is a new one, and says when and how the user proved who they are.
func TestSession(t *testing.T) {
	p := newProvider(t)
	silent := p.named("one")
	silent.LoginClaims, silent.ACR = false, nil
	a, other := newApp(t, client(p.server), p.named("one")), newApp(t, client(p.server), silent)
	hourAgo := time.Now().Add(-time.Hour).Truncate(time.Second)
	p.set(func() { p.change = claims{"auth_time": hourAgo.Unix()} })
	b := a.browser()
	b.cookies["__Host-session"] = "planted"
	if got := b.login(p, "one"); got != http.StatusSeeOther || b.cookies["__Host-session"] == "planted" {
		t.Errorf("attack_session_fixation: %d", got)
	}
	before := b.cookies["__Host-session"]
	if id := b.identity(); !id.AuthTime.Equal(hourAgo) || id.Subject == "" || id.Issuer != "" || id.ACR != "urn:example:mfa" || fmt.Sprint(id.AMR) != "[pwd otp]" {
		t.Errorf("%+v", id)
	}
	if got := b.login(p, "one"); got != http.StatusSeeOther || b.cookies["__Host-session"] == before {
		t.Errorf("attack_session_fixation at the second login: %d", got)
	}
	if n := a.users(); n != 1 {
		t.Errorf("%d accounts after two logins", n)
	}
	// Without the option, and without the claim, the login is no recent one.
	c := other.browser()
	if got := c.login(p, "one"); got != http.StatusSeeOther || time.Since(c.identity().AuthTime) < 24*time.Hour || c.identity().ACR != "" || c.identity().AMR != nil {
		t.Errorf("%d, %+v", got, c.identity())
	}
	p.set(func() { p.change = claims{"auth_time": nil, "acr": "silver"} })
	if got := b.login(p, "one"); got != http.StatusSeeOther || time.Since(b.identity().AuthTime) < 24*time.Hour || b.identity().ACR != "" {
		t.Errorf("%d, %+v", got, b.identity())
	}
	// A login that was asked to be fresh must be.
	d := a.browser()
	if got := d.begin("/login/with/one", "fresh", "1").Query().Get("max_age"); got != "300" {
		t.Errorf("max_age %q", got)
	}
	if got := d.login(p, "one", "fresh", "1"); got != http.StatusBadRequest || d.user() != "" {
		t.Errorf("attack_stale_login without auth_time: %d", got)
	}
	p.set(func() { p.change = claims{"auth_time": hourAgo.Unix()} })
	if got := d.login(p, "one", "fresh", "1"); got != http.StatusBadRequest || d.user() != "" {
		t.Errorf("attack_stale_login: %d", got)
	}
	p.set(func() { p.change = nil })
	if got := d.login(p, "one", "fresh", "1"); got != http.StatusSeeOther || time.Since(d.identity().AuthTime) > time.Minute {
		t.Errorf("fresh: %d", got)
	}
}

// A disabled account gets the response of an unknown one.
func TestDisabledAccount(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	b := a.browser()
	b.login(p, "one")
	id := b.user()
	must(t, a.db.SetActive(t.Context(), id, false))
	disabled := b.get(p.allows(b.begin("/login/with/one")))
	a.add("2", "user 8", "")
	p.set(func() { p.sub = "8" }) // its name is taken
	unknown := b.get(p.allows(b.begin("/login/with/one")))
	if disabled.Code != http.StatusForbidden || unknown.Code != http.StatusForbidden || !bytes.Equal(disabled.Body.Bytes(), unknown.Body.Bytes()) || b.user() != "" {
		t.Errorf("%d %d %s %s", disabled.Code, unknown.Code, disabled.Body, unknown.Body)
	}
}

// Only the recent session of an account links it, from the application's own page, and only in the
// browser with that session.
func TestLink_attack_505(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	a.add("1", "alice", "")
	a.add("2", "mallory", "")
	const path = "/login/with/one/link"
	linked := func() string {
		t.Helper()
		l, _, err := a.db.LinkOf(t.Context(), p.server.URL, "7")
		if err != nil {
			return ""
		}
		return l.Subject
	}
	alice := a.browser()
	if w := alice.post(path); w.Code != http.StatusUnauthorized {
		t.Errorf("without a session: %d", w.Code)
	}
	alice.password("1")
	forged := formOf(path)
	forged.Header.Set("Origin", "https://evil.example")
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := alice.copy().send(forged); w.Code != http.StatusForbidden || w.Header().Get("Location") != "" {
		t.Errorf("attack_link_csrf: %d", w.Code)
	}
	if w := alice.copy().get(origin + path); w.Code < 400 {
		t.Errorf("attack_link_csrf by GET: %d", w.Code)
	}
	// Mallory begins to link, and makes alice's browser finish: her account would get Mallory's login.
	mallory := a.browser()
	mallory.password("2")
	trap := p.allows(mallory.begin(path))
	if w := alice.copy().get(trap); w.Code != http.StatusBadRequest || linked() != "" {
		t.Errorf("attack_link_csrf by the response: %d, %q", w.Code, linked())
	}
	// Even with Mallory's cookie in alice's browser.
	both := alice.copy()
	both.cookies["__Host-oidclogin-one"] = mallory.cookies["__Host-oidclogin-one"]
	if w := both.get(trap); w.Code != http.StatusBadRequest || linked() != "" {
		t.Errorf("attack_link_csrf by a planted cookie: %d, %q", w.Code, linked())
	}
	// A login in the meantime, a logout, and a logout everywhere end the link that was begun.
	for what, f := range map[string]func(b *browser){
		"another session":   func(b *browser) { b.password("1") },
		"logged out":        func(b *browser) { delete(b.cookies, "__Host-session") },
		"logout everywhere": func(*browser) { _, err := a.db.BumpEpoch(t.Context(), "1"); must(t, err) },
	} {
		b := a.browser()
		b.password("1")
		response := p.allows(b.begin(path))
		f(b)
		if w := b.get(response); w.Code < 400 || linked() != "" {
			t.Errorf("%s: %d, %q", what, w.Code, linked())
		}
	}
	alice.password("1")
	a.ahead.Store(int64(6 * time.Minute))
	if w := alice.post(path); w.Code == http.StatusSeeOther {
		t.Errorf("attack_old_session: %d", w.Code)
	}
	a.ahead.Store(0)
	if w := alice.get(p.allows(alice.begin(path, "next", "/settings"))); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/settings" || linked() != "1" {
		t.Errorf("the control: %d %s, %q", w.Code, w.Body, linked())
	}
	mallory.password("2")
	if w := mallory.get(p.allows(mallory.begin(path))); w.Code != http.StatusConflict || codeOf(w) != "" && codeOf(w) != "not_linked" || linked() != "1" {
		t.Errorf("attack_take_over: %d, %q", w.Code, linked())
	}
	b := a.browser()
	if got := b.login(p, "one"); got != http.StatusSeeOther || b.user() != "1" {
		t.Errorf("%d, %q", got, b.user())
	}
}

// Unlinking ends what the link opened, and keeps the browser logged in.
func TestUnlink(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	b, other := a.browser(), a.browser()
	b.login(p, "one")
	other.login(p, "one")
	id := b.user()
	w := b.get(origin + "/login/with/links")
	var list []struct{ ID, Provider, Issuer string }
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list) != 1 || list[0].Provider != "one" || list[0].Issuer != p.server.URL {
		t.Fatalf("%s, %v", w.Body, err)
	}
	if w := b.post("/login/with/unlink", "id", "another"); w.Code != http.StatusNotFound || b.user() != id {
		t.Errorf("%d", w.Code)
	}
	forged := formOf("/login/with/unlink", "id", list[0].ID)
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := b.send(forged); w.Code != http.StatusForbidden {
		t.Errorf("attack_unlink_csrf: %d", w.Code)
	}
	if w := b.post("/login/with/unlink", "id", list[0].ID); w.Code != http.StatusSeeOther || b.user() != id || other.user() != "" {
		t.Errorf("%d %s, %q, %q", w.Code, w.Body, b.user(), other.user())
	}
	if got := other.login(p, "one"); got != http.StatusForbidden { // the name of a new account is taken
		t.Errorf("a login with a deleted link: %d", got)
	}
}

// A logout at the provider ends the sessions that were begun there, and no others.
func TestBackchannel(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	send := func(token string) int {
		t.Helper()
		r := formOf("/login/with/one/backchannel", "logout_token", token)
		return a.browser().send(r).Code
	}
	login := func(sid string) *browser {
		p.set(func() { p.change = claims{"sid": sid} })
		b := a.browser()
		if got := b.login(p, "one"); got != http.StatusSeeOther {
			t.Fatal(got)
		}
		return b
	}
	one, two := login("s1"), login("s2")
	own := a.browser()
	own.password(one.user())
	id := own.user()
	is := func(what string, want ...string) {
		t.Helper()
		if got := []string{one.user(), two.user(), own.user()}; strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	for name, change := range map[string]claims{
		"attack_another client": {"aud": "other", "sid": "s1"}, "attack_another issuer": {"iss": "https://other.example", "sid": "s1"},
		"attack_nonce": {"nonce": "x", "sid": "s1"}, "attack_no_event": {"events": nil, "sid": "s1"},
	} {
		if got := send(p.logoutToken(change)); got != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got)
		}
	}
	is("rejected tokens", id, id, id)
	if got := send(p.logoutToken(claims{"sub": "8", "sid": "s1"})); got != http.StatusOK {
		t.Errorf("a user without a link: %d", got)
	}
	is("another user", id, id, id)
	token := p.logoutToken(claims{"sid": "s1"})
	if got := send(token); got != http.StatusOK {
		t.Errorf("%d", got)
	}
	is("one session", "", id, id)
	if got := send(token); got != http.StatusBadRequest {
		t.Errorf("attack_replay: %d", got)
	}
	one = login("s3")
	if got := send(p.logoutToken(nil)); got != http.StatusOK {
		t.Errorf("%d", got)
	}
	is("all sessions of the provider", "", "", id)
	if got := send(p.logoutToken(claims{"sub": nil, "sid": "s1"})); got < 400 {
		t.Errorf("without a subject: %d", got)
	}
}

// The logout ends the session here, and then at the provider of the login.
func TestLogout(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	b := a.browser()
	b.login(p, "one")
	forged := formOf("/login/with/logout")
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := b.copy().send(forged); w.Code != http.StatusForbidden || b.user() == "" {
		t.Errorf("attack_logout_csrf: %d", w.Code)
	}
	want := p.server.URL + "/logout?client_id=app&post_logout_redirect_uri=https%3A%2F%2Fapp.example%2Fhome"
	if w := b.post("/login/with/logout"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != want || b.user() != "" {
		t.Errorf("%d %q, %q", w.Code, w.Header().Get("Location"), b.user())
	}
	if w := b.post("/login/with/logout"); w.Header().Get("Location") != "/home" {
		t.Errorf("the second: %q", w.Header().Get("Location"))
	}
	b.cookies["__Host-oidclogin-via"] = "https://evil.example"
	if w := b.post("/login/with/logout"); w.Header().Get("Location") != "/home" {
		t.Errorf("attack_open_redirect: %q", w.Header().Get("Location"))
	}
}

// A provider that does not respond is 503, never a login, and logs nobody out.
func TestProviderDown(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	fresh := newApp(t, client(p.server), p.named("one"))
	b := a.browser()
	response := p.allows(b.begin("/login/with/one"))
	p.set(func() { p.status = http.StatusInternalServerError })
	if w := b.copy().get(response); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("500 of the token endpoint: %d %v", w.Code, w.Header())
	}
	p.server.Close()
	if w := b.get(response); w.Code != http.StatusServiceUnavailable || b.user() != "" {
		t.Errorf("down: %d, %q", w.Code, b.user())
	}
	if w := fresh.browser().post("/login/with/one"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Location") != "" {
		t.Errorf("down from the start: %d", w.Code)
	}
	if w := fresh.browser().send(formOf("/login/with/one/backchannel", "logout_token", p.logoutToken(claims{"sid": "s1"}))); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a logout message: %d", w.Code)
	}
}
