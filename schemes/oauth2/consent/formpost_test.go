package consent_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// posted returns the fields that a response by form_post submits.
func posted(t *testing.T, rec *httptest.ResponseRecorder, to string) url.Values {
	t.Helper()
	body := rec.Body.String()
	if rec.Code != 200 || rec.Header().Get("Location") != "" || !strings.Contains(body, `<form method="post" action="`+html.EscapeString(to)+`">`) {
		t.Fatalf("%d %v %s", rec.Code, rec.Header(), body)
	}
	v := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(body, -1) {
		v.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return v
}

func names(v url.Values) (list []string) {
	for name := range v {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func TestFormPost(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { oauthtest.WithSessions(o) })
	alice := w.Alice("s")
	query := func(pairs ...string) string {
		return oauthtest.Query("app", append([]string{"response_mode", "form_post"}, pairs...)...)
	}
	decide := func(query string) *httptest.ResponseRecorder {
		handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", query, ""))
		return w.Authorizes(alice, "POST", "", "decision=allow&handle="+url.QueryEscape(handle))
	}
	t.Run("P10/success", func(t *testing.T) {
		v := posted(t, decide(query()), oauthtest.Redirect)
		if !slices.Equal(names(v), []string{"code", "iss", "state"}) || v.Get("state") != "s&t=ä" || v.Get("iss") != oauthtest.Issuer {
			t.Errorf("%v", v)
		}
		if got := w.Exchange("app", v.Get("code")); got.Status != 200 {
			t.Errorf("%s", got.Body)
		}
	})
	t.Run("P11/errors", func(t *testing.T) {
		for want, pairs := range map[string][]string{
			"invalid_request":           {"response_type", ""},
			"unsupported_response_type": {"response_type", "id_token"},
			"invalid_scope":             {"scope", "unknown"},
			"invalid_target":            {"resource", "https://unknown.example"},
			"request_not_supported":     {"request", "x"},
			"consent_required":          {"prompt", "none"},
		} {
			v := posted(t, w.Authorizes(alice, "GET", query(pairs...), ""), oauthtest.Redirect)
			if v.Get("error") != want || !slices.Equal(names(v), []string{"error", "error_description", "iss", "state"}) {
				t.Errorf("%s: %v", want, v)
			}
		}
		if v := posted(t, w.Authorizes(nil, "GET", query("prompt", "none"), ""), oauthtest.Redirect); v.Get("error") != "login_required" {
			t.Errorf("%v", v)
		}
		if v := posted(t, w.Authorizes(alice, "GET", query("state", strings.Repeat("x", 5000)), ""), oauthtest.Redirect); v.Get("error") != "invalid_request" {
			t.Errorf("%v", v)
		}
		handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", query(), ""))
		if v := posted(t, w.Authorizes(alice, "POST", "", "decision=deny&handle="+url.QueryEscape(handle)), oauthtest.Redirect); v.Get("error") != "access_denied" {
			t.Errorf("%v", v)
		}
	})
	t.Run("P12/escaped", func(t *testing.T) {
		const state = `"><script>alert(1)</script>`
		rec := decide(query("state", state))
		if v := posted(t, rec, oauthtest.Redirect); v.Get("state") != state || strings.Contains(rec.Body.String(), "<script>alert") {
			t.Errorf("%s", rec.Body)
		}
	})
	t.Run("P13/private scheme", func(t *testing.T) {
		oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "native", Method: "none", Native: true, RedirectURIs: []string{"com.example.app:/cb"}, Grants: []string{"authorization_code"}, Scopes: []string{"read"}}))
		v := oauthtest.Sent(t, w.Authorizes(alice, "GET", oauthtest.Query("native", "redirect_uri", "com.example.app:/cb", "response_mode", "form_post"), ""), "com.example.app:/cb")
		if v.Get("error") != "invalid_request" {
			t.Errorf("%v", v)
		}
		for _, mode := range []string{"fragment", "jwt", "form_post.jwt"} {
			if v := oauthtest.Sent(t, w.Authorizes(alice, "GET", query("response_mode", mode), ""), oauthtest.Redirect); v.Get("error") != "invalid_request" {
				t.Errorf("%s: %v", mode, v)
			}
		}
	})
	t.Run("P13/frame", func(t *testing.T) {
		h := w.Authorizes(alice, "GET", query("prompt", "none"), "").Header()
		if !strings.HasSuffix(h.Get("Content-Security-Policy"), "frame-ancestors https://app.example") || h.Get("X-Frame-Options") != "" {
			t.Errorf("%v", h)
		}
	})
	t.Run("P14/headers", func(t *testing.T) {
		rec := decide(query())
		_, script, _ := strings.Cut(rec.Body.String(), "<script>")
		script, _, _ = strings.Cut(script, "</script>")
		sum := sha256.Sum256([]byte(script))
		policy := "default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
		for name, want := range map[string]string{"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "origin", "X-Frame-Options": "DENY", "Content-Type": "text/html; charset=utf-8"} {
			if got := rec.Header().Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
	t.Run("P14/pushed", func(t *testing.T) {
		if v := posted(t, decide(w.Pushed("response_mode", "form_post")), oauthtest.Redirect); v.Get("code") == "" {
			t.Errorf("%v", v)
		}
	})
	t.Run("metadata", func(t *testing.T) {
		if m := w.Send(w.Metadata(), httptest.NewRequest("GET", "/", nil), "").Body; !strings.Contains(m, `"response_modes_supported":["query","form_post"]`) {
			t.Error(m)
		}
	})
}

// An error of a client that nobody has verified is sent only if the user presses a button.
func TestFormPostOfAnUnknownClient(t *testing.T) {
	w, initial := oauthtest.NewRegistry(t, memory.New(nil), nil)
	c := w.Manages("POST", "/oauth2/register", initial, `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}`)
	rec := w.Authorizes(w.Alice("s"), "GET", oauthtest.Query(c.ID, "response_mode", "form_post", "prompt", "none"), "")
	body := rec.Body.String()
	if rec.Code != 400 || strings.Contains(body, "<script") || strings.Contains(body, "href=\"https://app.example") || !strings.Contains(body, `value="consent_required"`) || strings.Contains(rec.Header().Get("Content-Security-Policy"), "form-action") {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), body)
	}
}

func TestSelectAccount(t *testing.T) {
	var shown consent.Consent
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) {
		oauthtest.WithSessions(o)
		o.RenderConsent = func(rw http.ResponseWriter, _ *http.Request, c consent.Consent) {
			shown = c
			_, _ = rw.Write([]byte(`name="handle" value="` + c.Handle + `"`))
		}
	})
	alice := w.Alice("s")
	// login follows a redirect to the login page and returns its parameters and the query with
	// which the browser comes back.
	login := func(query string) (url.Values, string) {
		t.Helper()
		rec := w.Authorizes(alice, "GET", query, "")
		to, err := url.Parse(rec.Header().Get("Location"))
		if err != nil || rec.Code != 303 || to.Path != "/login" {
			t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
		}
		next, err := url.Parse(to.Query().Get("next"))
		oauthtest.Must(t, err)
		return to.Query(), next.RawQuery
	}
	for _, query := range []string{oauthtest.Query("app", "prompt", "select_account"), w.Pushed("prompt", "select_account")} {
		v, next := login(query) // P15
		if v.Get("prompt") != "select_account" {
			t.Errorf("%v", v)
		}
		oauthtest.HandleOf(t, w.Authorizes(alice, "GET", next, "")) // once, no loop
	}
	_, next := login(oauthtest.Query("app", "prompt", "select_account consent"))
	if v, _ := url.ParseQuery(next); v.Get("prompt") != "consent" {
		t.Errorf("%s", next)
	}
	if v := oauthtest.Sent(t, w.Authorizes(alice, "GET", oauthtest.Query("app", "prompt", "none select_account"), ""), oauthtest.Redirect); v.Get("error") != "invalid_request" {
		t.Errorf("%v", v)
	}
	hints := []string{"login_hint", `a"<b>@example.org`, "ui_locales", "de-CH en"}
	v, _ := login(oauthtest.Query("app", append(hints, "prompt", "login")...)) // P16
	if v.Get("login_hint") != `a"<b>@example.org` || v.Get("ui_locales") != "de-CH en" {
		t.Errorf("%v", v)
	}
	oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app", hints...), ""))                                       // a live session ignores the hint
	if shown.LoginHint != `a"<b>@example.org` || !slices.Equal(shown.Locales, []string{"de-CH", "en"}) || shown.User != "alice" { // P18
		t.Errorf("%+v", shown)
	}
	for _, bad := range [][]string{ // P17, P19
		{"login_hint", strings.Repeat("a", 256)}, {"login_hint", "a\nb"}, {"login_hint", "a\u202eb"},
		{"ui_locales", "a_b"}, {"ui_locales", strings.Repeat("en ", 11)}, {"ui_locales", strings.Repeat("e", 36)}, {"ui_locales", `"><script>`},
	} {
		oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app", bad...), ""))
		if shown.LoginHint != "" || len(shown.Locales) != 0 {
			t.Errorf("%q: %+v", bad, shown)
		}
	}
}
