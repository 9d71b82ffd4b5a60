package clientdoc_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/clientdoc"
	"github.com/vestibule-auth/vestibule/storage"
)

const refused = "error invalid_client"

// The whole way of a client that nobody registered, and what its user sees.
func TestLogin(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := newWorldOn(t, s, nil)
		id := w.put("/c.json", nil)
		before := w.count()
		rec := w.Authorizes(w.Alice("s"), "GET", query(id), "")
		host := strings.TrimPrefix(w.origin, "https://")
		for _, want := range []string{host, "App", "as it calls itself", "You will be sent to another site", "not verified"} {
			if !strings.Contains(rec.Body.String(), want) {
				t.Errorf("the page lacks %q: %s", want, rec.Body)
			}
		}
		if w.count() != before {
			t.Error("a record without a consent")
		}
		got := w.Allows(w.Alice("s"), "", query(id))
		if got.Refresh == "" || got.Scope != "read" || w.Status(got.Access) != 200 {
			t.Errorf("%+v", got)
		}
		if next := w.Refreshes("", got.Refresh, "client_id", id); next.Status != 200 {
			t.Errorf("%d %s", next.Status, next.Body)
		}
		c, err := w.DB.ClientByID(t.Context(), id)
		if err != nil || !c.FromDocument() || c.Trusted || len(c.Serves) > 0 || !c.Public() || w.fetched("/") != 1 {
			t.Errorf("%+v, %v, %d fetches", c, err, w.fetched("/"))
		}
		if got := w.asks(query(id, "prompt", "none")); got != "sent consent_required" { // alice knows the client now
			t.Errorf("prompt=none: %s", got)
		}
		if got := w.asks(query(w.put("/other", nil), "prompt", "none")); got != "error consent_required" {
			t.Errorf("prompt=none of an unknown client: %s", got)
		}
		if m := w.Send(w.Metadata(), httptest.NewRequest("GET", "/", nil), ""); !strings.Contains(m.Body, `"client_id_metadata_document_supported":true`) {
			t.Error(m.Body)
		}
		oauthtest.Must(t, w.DB.SetClientDisabled(t.Context(), id, true))
		if got := w.asks(query(id)); got != "error invalid_request" {
			t.Errorf("a disabled record: %s", got)
		}
	})
}

// Without the option, and with a client that an administrator registered, nothing is fetched.
func TestOff(t *testing.T) {
	w := newWorld(t, func(o *oauthtest.Options) { o.ClientDocuments = nil })
	if got := w.asks(query(w.put("/c", nil))); got != "error invalid_request" {
		t.Error(got)
	}
	on := newWorld(t, nil)
	id := on.put("/c", nil)
	oauthtest.Must(t, on.DB.CreateClient(t.Context(), storage.Client{ID: id, Method: "none", RedirectURIs: []string{redirect}, Grants: []string{"authorization_code"}, Scopes: []string{"read"}, Document: storage.ClientDocument{Pinned: true}}))
	if got := on.asks(query(id)); got != "page" {
		t.Errorf("pinned: %s", got)
	}
	if w.fetched("/")+on.fetched("/") != 0 {
		t.Error("fetched")
	}
}

// CIMD-1 to CIMD-14: the ID alone is refused, with no look-up. TestCheckURL of publicfetch has more.
func TestIDs(t *testing.T) {
	w := newWorld(t, nil)
	w.put("/c", nil)
	port := w.origin[len("https://app.example"):]
	for row, ids := range map[string][]string{
		"CIMD-1":  {"http://app.example/c.json"},
		"CIMD-2":  {"HTTPS://app.example/c", "https://APP.example/c", "https://app.example./c"},
		"CIMD-3":  {"https://app.example", "https://app.example" + port},
		"CIMD-5":  {"https://u:p@app.example/c"},
		"CIMD-6":  {"https://app.example" + port + "/c#x", "https://app.example" + port + "/c?x=1"},
		"CIMD-7":  {"https://app.example/a/../c", "https://app.example/./c", "https://app.example/%2e%2E/c"},
		"CIMD-8":  {`https://app.example\c`, "https://app.example/ c", "https://app.example/\t", "https://app.example/é", "https://app.example" + port + "/" + strings.Repeat("c", 256)},
		"CIMD-9":  {"https://127.0.0.1/c", "https://[::1]/c"},
		"CIMD-10": {"https://2130706433/c", "https://0x7f.1/c", "https://0177.0.0.1/c", "https://127.1/c"},
		"CIMD-11": {"https://[::ffff:10.0.0.1]/c", "https://[fe80::1%25eth0]/c"},
		"CIMD-12": {"https://localhost/c", "https://a.localhost/c", "https://host/c"},
		"CIMD-13": {"https://metadata.google.internal/c", "https://x.local/c"},
		"CIMD-14": {"https://app.example:22/c", "https://app.example:80/c", "https://app.example:25/c"},
	} {
		for _, id := range ids {
			if got := w.asks(query(id)); got != refused && got != "error invalid_request" {
				t.Errorf("%s: %q: %s", row, id, got)
			}
			if clientdoc.CheckID(id) == nil {
				t.Errorf("%s: %q passes", row, id)
			}
			got := w.Post(w.PushedAuthorization(), "", append(form(query(id)), "client_id", id)...)
			if got.Status != 401 && got.Status != 400 || got.Error != "invalid_client" && got.Error != "invalid_request" {
				t.Errorf("%s: pushed %q: %d %s", row, id, got.Status, got.Body)
			}
		}
	}
	if n, _ := w.net.Lookups("app.example"); n != 0 || w.fetched("/") != 0 {
		t.Errorf("%d look-ups, %d fetches", n, w.fetched("/"))
	}
	for _, path := range []string{"/", "/c.json"} { // CIMD-4, and a port above 1024
		if got := w.asks(query(w.put(path, nil))); got != "page" {
			t.Errorf("CIMD-4 %s: %s", path, got)
		}
	}
}

// form returns the parameters of a query without the client, in pairs.
func form(query string) (pairs []string) {
	v, _ := url.ParseQuery(query)
	v.Del("client_id")
	for name, list := range v {
		pairs = append(pairs, name, list[0])
	}
	return pairs
}

// CIMD-30 to CIMD-36 and CIMD-42: documents that describe no client.
func TestDocuments(t *testing.T) {
	w := newWorld(t, nil)
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	good := func(more string) string {
		return `{"client_id":"` + w.origin + `/x","client_name":"App","redirect_uris":["` + redirect + `"]` + more + `}`
	}
	key := `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	for row, bodies := range map[string][]string{
		"CIMD-30": {strings.Replace(good(""), "/x", "/x/", 1), strings.Replace(good(""), "/x", "/X", 1), strings.Replace(good(""), "/x", ":443/x", 1), strings.Replace(good(""), `"client_id"`, `"client_id2"`, 1)},
		"CIMD-31": {strings.Replace(good(""), "redirect_uris", "redirects", 1), strings.Replace(good(""), `"`+redirect+`"`, "", 1), strings.Replace(good(""), "client_name", "name", 1),
			"[" + good("") + "]", good(`,"client_id":"` + w.origin + `/x"`), good(`,"a":"` + "\xff" + `"`), good(`,"a":` + deep), "", "{}", "null", good(`,"grant_types":"authorization_code"`), good(`,"scope":null`)},
		"CIMD-32": {good(`,"token_endpoint_auth_method":"client_secret_basic"`), good(`,"client_secret":"s"`), good(`,"client_secret_expires_at":0`),
			good(`,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + strings.Replace(key, "}", `,"d":"AAAA"}`, 1) + `]}`),
			good(`,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + key + `]},"jwks_uri":"https://app.example/k"`), good(`,"token_endpoint_auth_method":"private_key_jwt"`)},
		"CIMD-35": {strings.Replace(good(""), redirect, "javascript:alert(1)", 1), strings.Replace(good(""), redirect, "data:text/html,x", 1), strings.Replace(good(""), redirect, "https://a@b.example/cb", 1), strings.Replace(good(""), redirect, redirect+"#x", 1), strings.Replace(good(""), redirect, "http://app.example/cb", 1)},
		"CIMD-36": {strings.Replace(good(""), "App", "A\u202epp", 1), strings.Replace(good(""), "App", strings.Repeat("a", 300), 1), strings.Replace(good(""), "App", `A\u0000`, 1)},
		"CIMD-42": {good(`,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://169.254.169.254/k"`)},
		"types":   {good(`,"grant_types":["refresh_token"]`), good(`,"response_types":["token"]`)},
	} {
		for i, body := range bodies {
			w.raw("/x", body)
			if got := w.asks(query(w.origin + "/x")); got != refused {
				t.Errorf("%s, %d: %s: %s", row, i, body, got)
			}
		}
	}
	w.raw("/x", good(`,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[`+key+`]},"grant_types":["authorization_code","implicit","client_credentials"],"scope":"write read","logo_uri":"`+w.origin+`/logo","tos_uri":"`+w.origin+`/logo"`))
	if got := w.asks(query(w.origin + "/x")); got != "page" {
		t.Fatal(got)
	}
	if w.fetched("/logo") != 0 { // CIMD-42
		t.Error("the logo was fetched")
	}
	if got := w.asks(query(w.origin+"/x", "scope", "write")); got == "page" || got == "code" {
		t.Errorf("a scope that such clients may not have: %s", got)
	}
	markup := w.put("/m", map[string]any{"client_name": "<b>App</b>"}) // CIMD-36
	if rec := w.Authorizes(w.Alice("s"), "GET", query(markup), ""); rec.Code != 200 || strings.Contains(rec.Body.String(), "<b>App") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// CIMD-33 and CIMD-34.
func TestRedirects(t *testing.T) {
	w := newWorld(t, nil)
	web := w.put("/web", nil)
	local := w.put("/local", map[string]any{"redirect_uris": []string{"http://localhost/callback", "http://127.0.0.1/cb", "com.example.app:/cb"}})
	for _, x := range []struct{ id, uri, want string }{
		{web, redirect, "page"},
		{web, "https://app.example/other", "error invalid_request"},
		{web, "https://app.example:8443/cb", "error invalid_request"},
		{web, "https://evil.example/cb", "error invalid_request"},
		{local, "http://localhost:5813/callback", "page"},
		{local, "http://127.0.0.1:5813/cb", "page"},
		{local, "com.example.app:/cb", "page"},
		{local, "http://localhost:5813/cb", "error invalid_request"},
		{local, "http://127.0.0.1:5813/callback", "error invalid_request"},
		{local, "http://[::1]:5813/callback", "error invalid_request"},
		{local, "http://localhost.example/callback", "error invalid_request"},
		{local, "http://localhost:0/callback", "error invalid_request"},
		{local, "https://localhost:5813/callback", "error invalid_request"},
	} {
		if got := w.asks(query(x.id, "redirect_uri", x.uri)); got != x.want {
			t.Errorf("%s: %s, want %s", x.uri, got, x.want)
		}
	}
	rec := w.Authorizes(w.Alice("s"), "GET", query(local, "redirect_uri", "http://localhost:5813/callback"), "")
	if !strings.Contains(rec.Body.String(), "The server cannot tell which program it is") || strings.Contains(rec.Body.String(), "another site") {
		t.Error(rec.Body)
	}
}

// CIMD-37: the token endpoint and its like fetch nothing.
func TestTokenEndpoint(t *testing.T) {
	w := newWorld(t, nil)
	id := w.put("/c", nil)
	for i := range 1000 {
		h := []http.Handler{w.Token(), w.Revoke(), w.Introspect()}[i%3]
		if got := w.Post(h, "", "grant_type", "refresh_token", "refresh_token", "vor_x", "token", "x", "client_id", id); got.Status != 401 || got.Error != "invalid_client" {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
	if n, _ := w.net.Lookups("app.example"); n != 0 {
		t.Errorf("%d look-ups", n)
	}
}

func withLimits(o *oauthtest.Options) { o.InsecureNoLimits = false }

// CIMD-38.
func TestTogether(t *testing.T) {
	w := newWorld(t, withLimits)
	id := w.put("/c", nil)
	w.gate = make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	counts := map[string]int{}
	var started sync.WaitGroup
	for range 1000 {
		started.Add(1)
		wg.Go(func() {
			started.Done()
			rec := w.Authorizes(nil, "GET", query(id), "")
			mu.Lock()
			defer mu.Unlock()
			counts[fmt.Sprint(rec.Code)]++
		})
	}
	started.Wait()
	close(w.gate)
	wg.Wait()
	if w.fetched("/c") != 1 || counts["303"] != 1000 {
		t.Errorf("%d fetches, %v", w.fetched("/c"), counts)
	}
}

// CIMD-39: one address cannot make the server fetch much, nor write anything, nor shut out others.
func TestManyIDs(t *testing.T) {
	w := newWorld(t, withLimits)
	before := w.count()
	var limited int
	for i := range 1000 {
		id := w.put(fmt.Sprint("/many/", i), nil)
		rec := w.from("198.51.100.7:1", query(id))
		if rec.Code == 429 && rec.Header().Get("Retry-After") != "" {
			limited++
		}
	}
	if n := w.fetched("/many/"); n == 0 || n > 10 || limited < 990 || w.count() != before {
		t.Errorf("%d fetches, %d limited, %d records", n, limited, w.count()-before)
	}
	w.Pass(time.Minute)
	lookups := 0 // each ID has a host of its own, so only the limit of the address holds
	for i := range 100 {
		host := fmt.Sprintf("host-%d.example", i)
		w.from("198.51.100.7:1", query("https://"+host+"/c"))
		n, _ := w.net.Lookups(host)
		lookups += n
	}
	if lookups == 0 || lookups > 10 {
		t.Errorf("%d look-ups", lookups)
	}
	w.Pass(time.Minute)
	known := w.put("/known", nil)
	if got := w.from("192.0.2.9:1", query(known)); got.Code != 200 {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	w.Allows(w.Alice("s"), "", query(known))
	w.Pass(2 * time.Hour) // its document is old now, and strangers use up the limit of its host
	for i := range 30 {
		w.from(fmt.Sprintf("203.0.113.%d:1", i*8), query(w.put(fmt.Sprint("/more/", i), nil)))
	}
	had := w.fetched("/known")
	if got := w.asks(query(known)); got != "page" || w.fetched("/known") != had+1 {
		t.Errorf("a known client: %s, fetched %d times", got, w.fetched("/known")-had)
	}
}

// from sends the request of a client address, as alice.
func (w *world) from(addr, query string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", oauthtest.Issuer+"/oauth2/authorize?"+query, nil)
	r.RemoteAddr = addr
	rec := httptest.NewRecorder()
	w.Authorize("/login").ServeHTTP(rec, authntest.As(r, *w.Alice("s")))
	return rec
}
