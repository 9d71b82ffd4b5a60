package proxy_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/proxy"
	"github.com/vestibule-auth/vestibule/authz"
)

const alice = "204 user=1 scheme=jwt client= scopes= issuer="

// For every dialect: the headers, the request that the guard gets, and what is rejected.
func TestDialects_attack_256(t *testing.T) {
	notes := authz.HasScope("notes:read")
	for dialect, headers := range map[proxy.Dialect]func(method, uri string, more ...string) []string{proxy.Nginx: nginx, proxy.Traefik: traefik, proxy.Caddy: traefik} {
		own := "X-Original-"
		other := "X-Forwarded-"
		if dialect != proxy.Nginx {
			own, other = other, own
		}
		w := newWorld(t, config{dialect: dialect, opts: proxy.ForwardAuthOptions{Login: "/login"}})
		scoped := newWorld(t, config{dialect: dialect, guard: notes, opts: proxy.ForwardAuthOptions{Issuers: []string{"https://other.example"}}})
		page := "303 /login?next=%2Fa%2Fb%3Fc%3Dd%26e%3D%252F"
		if dialect == proxy.Nginx {
			page = "401 Bearer /login?next=%2Fa%2Fb%3Fc%3Dd%26e%3D%252F"
		}
		const html = "Accept: text/html,application/xhtml+xml;q=0.9"
		for name, tc := range map[string]struct {
			w       *world
			headers []string
			want    string
			log     string // what its line says
		}{
			"accepted":                {w, headers("GET", "/a?b=c", "Authorization: Bearer alice"), alice, ""},
			"a write":                 {w, headers("POST", "/a", "Authorization: Bearer alice", "Origin: https://evil.example"), alice, ""},
			"another host of ours":    {w, set(headers("GET", "/a", "Authorization: Bearer alice"), own+"Host: www.app.example"), alice, ""},
			"anonymous":               {w, headers("GET", "/a"), "401 Bearer", ""},
			"refused":                 {w, headers("GET", "/a", "Authorization: Bearer bad"), "401 Bearer", ""},
			"two credentials":         {w, headers("GET", "/a", "Authorization: Bearer alice", "Authorization: Bearer alice"), "400", ""},
			"edge_A04/store is down":  {w, headers("GET", "/a", "Authorization: Bearer down"), "503", ""},
			"page":                    {w, headers("GET", "/a/b?c=d&e=%2F", html, "Sec-Fetch-Mode: navigate"), page, ""},
			"page, refused":           {w, headers("GET", "/a", html, "Authorization: Bearer bad"), "401 Bearer", ""},
			"a page's script":         {w, headers("GET", "/a", html, "Sec-Fetch-Mode: cors"), "401 Bearer", ""},
			"XMLHttpRequest":          {w, headers("GET", "/a", html, "X-Requested-With: XMLHttpRequest"), "401 Bearer", ""},
			"a form of nobody":        {w, headers("POST", "/a", html), "401 Bearer", ""},
			"a WebSocket of nobody":   {w, headers("GET", "/a", html, "Sec-WebSocket-Key: x"), "401 Bearer", ""},
			"the login page itself":   {w, headers("GET", "/login", html), "401 Bearer", ""},
			"encoded login page":      {w, headers("GET", "/%6cogin?next=x", html), "401 Bearer", ""},
			"anything but HTML":       {w, headers("GET", "/a", "Accept: */*"), "401 Bearer", ""},
			"edge_A04/cookie, read":   {w, headers("GET", "/a", "Cookie: id=alice", "Sec-Fetch-Site: cross-site"), "204 user=1 scheme=careless client= scopes= issuer=", ""},
			"edge_A04/cookie, ours":   {w, headers("POST", "/a", "Cookie: id=alice", "Origin: https://app.example", "Sec-Fetch-Site: same-origin"), "204 user=1 scheme=careless client= scopes= issuer=", ""},
			"edge_A04/cross-site":     {w, headers("POST", "/a", "Cookie: id=alice", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"), "403", "csrf.Options.TrustedOrigins"},
			"edge_A04/odd method":     {w, headers("get", "/a", "Cookie: id=alice", "Origin: https://evil.example"), "403", "TrustedOrigins"},
			"edge_A04/QUERY":          {w, headers("QUERY", "/a", "Cookie: id=alice", "Origin: https://evil.example"), "403", "TrustedOrigins"},
			"edge_A04/beside Foo":     {w, headers("POST", "/a", "Cookie: id=alice", "Authorization: ", "Origin: https://evil.example"), "403", "TrustedOrigins"},
			"edge_A04/beside Basic":   {w, headers("POST", "/a", "Cookie: id=alice", "Authorization: Basic x", "Origin: https://evil.example"), "403", "TrustedOrigins"},
			"edge_A04/WebSocket":      {w, headers("GET", "/a", "Cookie: id=alice", "Origin: https://evil.example", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"), "403", "TrustedOrigins"},
			"edge_A04/by Sec-Fetch":   {w, headers("GET", "/a", "Cookie: id=alice", "Origin: https://evil.example", "Sec-Fetch-Mode: websocket"), "403", "TrustedOrigins"},
			"edge_A04/wss":            {w, set(headers("GET", "/a", "Cookie: id=alice", "Origin: https://evil.example"), "X-Forwarded-Proto: wss"), "403", "TrustedOrigins"},
			"edge_A04/wss, ours":      {w, set(headers("GET", "/a", "Cookie: id=alice", "Origin: https://app.example"), "X-Forwarded-Proto: wss"), "204 user=1 scheme=careless client= scopes= issuer=", ""},
			"edge_A04/plain http":     {w, set(headers("POST", "/a", "Cookie: id=alice", "Origin: https://app.example"), "X-Forwarded-Proto: http"), "403", "https"},
			"edge_A04/foreign host":   {w, set(headers("GET", "/a", "Authorization: Bearer alice"), own+"Host: evil.example"), "403", "csrf.Options.Hosts"},
			"edge_A04/host with user": {w, set(headers("GET", "/a", "Authorization: Bearer alice"), own+"Host: x@app.example"), "403", "Hosts"},
			"edge_A04/odd scheme":     {w, set(headers("GET", "/a", "Authorization: Bearer alice"), "X-Forwarded-Proto: ftp"), "403", "X-Forwarded-Proto"},
			"edge_A04/two schemes":    {w, set(headers("GET", "/a", "Authorization: Bearer alice"), "X-Forwarded-Proto: https,http"), "403", "X-Forwarded-Proto"},
			"edge_A04/odd token":      {w, set(headers("GET", "/a", "Authorization: Bearer alice"), own+"Method: GE T"), "403", "method"},
			"edge_A04/long method":    {w, set(headers("GET", "/a", "Authorization: Bearer alice"), own+"Method: "+strings.Repeat("A", 99)), "403", "method"},
			"edge_A04/empty method":   {w, set(headers("GET", "/a", "Authorization: Bearer alice"), own+"Method: "), "403", "missing"},

			"edge_A04/odd identity":             {w, headers("GET", "/a", "Authorization: Bearer odd"), "204 user=a%20b%25%C3%A9%0A scheme=jwt client= scopes= issuer=", ""},
			"edge_A04/percent sign":             {w, headers("GET", "/a", "Authorization: Bearer percent"), "204 user=a%2520b scheme=jwt client= scopes= issuer=", ""},
			"edge_A04/delegated":                {w, headers("GET", "/a", "Authorization: Bearer client"), "403", "authz.HasScope"},
			"edge_A04/a client":                 {w, headers("GET", "/a", "Authorization: Bearer machine"), "403", "authz.HasScope"},
			"edge_A04/delegated, scope named":   {scoped, headers("GET", "/a", "Authorization: Bearer client"), "204 user=1 scheme=oauth2 client=third scopes=notes:read profile issuer=", ""},
			"edge_A04/a client, scope named":    {scoped, headers("GET", "/a", "Authorization: Bearer machine"), "204 user= scheme=oauth2 client=third scopes=notes:read issuer=", ""},
			"edge_A04/delegated, scope missing": {scoped, headers("GET", "/a", "Authorization: Bearer narrow"), "403", ""},
			"edge_A04/foreign":                  {w, headers("GET", "/a", "Authorization: Bearer foreign"), "403", "Issuers"},
			"edge_A04/foreign, named":           {scoped, headers("GET", "/a", "Authorization: Bearer foreign"), "204 user= scheme=jwt client= scopes= issuer=https://other.example", ""},
			"edge_A04/foreign, not that":        {scoped, headers("GET", "/a", "Authorization: Bearer stranger"), "403", "Issuers"},
			"edge_A04/foreign client":           {scoped, headers("GET", "/a", "Authorization: Bearer foreign_client"), "204 user= scheme=jwt client=c scopes=notes:read issuer=https://other.example", ""},

			"edge_A04/another dialect":       {w, headers("GET", "/admin", "Authorization: Bearer alice", other+"Uri: /open"), "403", other + "Uri"},
			"edge_A04/its method":            {w, headers("POST", "/admin", "Authorization: Bearer alice", other+"Method: GET"), "403", other + "Method"},
			"edge_A04/its host":              {w, headers("GET", "/admin", "Authorization: Bearer alice", other+"Host: app.example"), "403", other + "Host"},
			"edge_A04/empty":                 {w, headers("GET", "/admin", "Authorization: Bearer alice", other+"Uri: "), "403", other + "Uri"},
			"edge_A04/X-Original-URL":        {w, headers("GET", "/admin", "Authorization: Bearer alice", "X-Original-URL: /open"), "403", "X-Original-Url"},
			"edge_A04/X-Rewrite-URL":         {w, headers("GET", "/admin", "Authorization: Bearer alice", "X-Rewrite-URL: /open"), "403", "X-Rewrite-Url"},
			"attack_451_SCRIPT_NAME":         {w, headers("GET", "/public/admin", "SCRIPT_NAME: /public"), "403", "Script-Name"},
			"attack_451_script-name":         {w, headers("GET", "/public/admin", "Authorization: Bearer alice", "Script-Name: /public"), "403", "Script-Name"},
			"attack_451_X-Script-Name":       {w, headers("GET", "/public/admin", "Authorization: Bearer alice", "X-Script-Name: /public"), "403", "X-Script-Name"},
			"attack_451_PATH_INFO":           {w, headers("GET", "/a", "Authorization: Bearer alice", "PATH_INFO: /admin"), "403", "Path-Info"},
			"attack_451_method override":     {w, headers("POST", "/a", "Authorization: Bearer alice", "X-HTTP-Method-Override: DELETE"), "403", "X-Http-Method-Override"},
			"attack_451_method":              {w, headers("POST", "/a", "Authorization: Bearer alice", "X-HTTP-Method: DELETE"), "403", "X-Http-Method"},
			"attack_451_override":            {w, headers("POST", "/a", "Authorization: Bearer alice", "X_Method_Override: DELETE"), "403", "X-Method-Override"},
			"attack_451_folded":              {w, headers("GET", "/admin", "Authorization: Bearer alice", "X_Original_URL: /open"), "403", "X-Original-Url"},
			"attack_451_own, folded":         {w, headers("GET", "/admin", "Authorization: Bearer alice", strings.ReplaceAll(own, "-", "_")+"Uri: /open"), "403", own + "Uri"},
			"edge_A04/the other one alone":   {w, only(headers("GET", "/admin", "Authorization: Bearer alice"), own), "403", "missing"},
			"edge_A04/none":                  {w, []string{"Authorization: Bearer alice"}, "403", "missing"},
			"edge_A04/identity header":       {w, headers("GET", "/a", "X-Auth-User: 2"), "400", "X-Auth-User"},
			"edge_A04/with an underscore":    {w, headers("GET", "/a", "Authorization: Bearer alice", "x_auth_user: 2"), "400", "X-Auth-User"},
			"edge_A04/mixed":                 {w, headers("GET", "/a", "Authorization: Bearer alice", "X-Auth_Client: 2"), "400", "X-Auth-Client"},
			"edge_A04/with dots":             {w, headers("GET", "/a", "Authorization: Bearer alice", "x.auth.user: 2"), "400", "X-Auth-User"},
			"edge_A04/empty identity header": {w, headers("GET", "/a", "Authorization: Bearer alice", "X-Auth-Scopes: "), "400", "X-Auth-Scopes"},
			"edge_A04/X-Auth-Issuer":         {w, headers("GET", "/a", "Authorization: Bearer alice", "X-Auth-Issuer: x"), "400", "X-Auth-Issuer"},
			"a similar header":               {w, headers("GET", "/a", "Authorization: Bearer alice", "X-Auth-Userx: x", "Xa-Auth-User: x"), alice, ""},
		} {
			t.Run(dialect.String()+"/"+name, func(t *testing.T) {
				tc.w.t = t
				// The method, host and path of the sub-request itself are never used.
				for _, method := range []string{"GET", "POST"} {
					rec := tc.w.ask(gateway, method, "/forward-auth/admin?x", tc.headers...)
					if got := answer(rec); got != tc.want {
						t.Errorf("by %s: got %s, want %s\n%s", method, got, tc.want, tc.w.log.String())
					}
					if tc.log != "" && (strings.Count(tc.w.log.String(), "\n") != 1 || !strings.Contains(tc.w.log.String(), tc.log)) {
						t.Errorf("log %q, want %q", tc.w.log.String(), tc.log)
					}
				}
			})
		}
		// Each header must occur exactly once.
		full := headers("GET", "/a", "Authorization: Bearer alice")
		for i := range 5 {
			name, value, _ := strings.Cut(full[i], ": ")
			t.Run("edge_A04/"+dialect.String()+"/"+name, func(t *testing.T) {
				w.t = t
				missing := append(append([]string{}, full[:i]...), full[i+1:]...)
				if got := answer(w.ask(gateway, "GET", "/a", missing...)); got != "403" || !strings.Contains(w.log.String(), "missing") {
					t.Errorf("missing: %s %s", got, w.log.String())
				}
				if got := answer(w.ask(gateway, "GET", "/a", append(full, name+": "+value)...)); got != "403" || !strings.Contains(w.log.String(), "twice") {
					t.Errorf("doubled: %s %s", got, w.log.String())
				}
			})
		}
	}
}

// set replaces the header with that name.
func set(headers []string, header string) []string {
	name, _, _ := strings.Cut(header, ": ")
	var out []string
	for _, h := range headers {
		if !strings.HasPrefix(h, name+": ") {
			out = append(out, h)
		}
	}
	return append(out, header)
}

// only removes headers that begin with the prefix.
func only(headers []string, prefix string) (out []string) {
	for _, h := range headers {
		if !strings.HasPrefix(h, prefix) {
			out = append(out, h)
		}
	}
	return out
}

// The guard and its permissions get the client's request.
func TestOriginalRequest(t *testing.T) {
	w := newWorld(t, config{dialect: proxy.Nginx})
	w.ask(gateway, "GET", "/forward-auth", nginx("DELETE", "/notes/7?x=%2F", "Authorization: Bearer alice")...)
	r := w.seen
	if r == nil || r.Method != "DELETE" || r.URL.Path != "/notes/7" || r.URL.RawQuery != "x=%2F" || r.RequestURI != "/notes/7?x=%2F" || r.Host != "app.example" || r.TLS != nil || r.URL.Host != "" {
		t.Fatalf("edge_A04: the guard sees %+v", r)
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Original-") {
			t.Errorf("the guard sees %s", name)
		}
	}
	// A permission that depends on the method gets the client's method.
	w = newWorld(t, config{dialect: proxy.Nginx, guard: authz.ReadOnly})
	for method, want := range map[string]string{"GET": "204 user= scheme= client= scopes= issuer=", "POST": "401 Bearer", "get": "401 Bearer"} {
		if got := answer(w.ask(gateway, "GET", "/", nginx(method, "/a")...)); got != want {
			t.Errorf("edge_A04/ReadOnly, %s: %s, want %s", method, got, want)
		}
	}
	// A guard that depends on an object has no object here.
	w = newWorld(t, config{dialect: proxy.Nginx, guard: authz.On(func(authn.Identity, string) bool { return true })})
	if got := answer(w.ask(gateway, "GET", "/", nginx("GET", "/a", "Authorization: Bearer alice")...)); got != "403" {
		t.Errorf("edge_A04/object: %s", got)
	}
	// A failing store of a permission is not a denial, not even for the check without scopes.
	down := authz.Or(authz.HasScope("notes:read"), broken{})
	w = newWorld(t, config{dialect: proxy.Nginx, guard: down})
	if got := answer(w.ask(gateway, "GET", "/", nginx("GET", "/a", "Authorization: Bearer client")...)); got != "503" {
		t.Errorf("edge_A04/fault of a permission: %s", got)
	}
	// An expression that mentions a scope does not necessarily require it.
	w = newWorld(t, config{dialect: proxy.Nginx, guard: authz.Or(authz.HasScope("notes:read"), authz.IsAuthenticated)})
	if got := answer(w.ask(gateway, "GET", "/", nginx("GET", "/a", "Authorization: Bearer client")...)); got != "403" {
		t.Errorf("edge_A04/scope or anybody: %s", got)
	}
}

type broken struct{}

func (broken) Decide(authz.Access) (authz.Decision, error) { return authz.Deny, errDown }

// A permission gets one path, also if its encoding is unusual.
func TestOriginalPathIsDecoded_attack_449(t *testing.T) {
	w := newWorld(t, config{dialect: proxy.Nginx})
	w.ask(gateway, "GET", "/forward-auth", nginx("GET", "/f%69les/%73ecret/a%20b", "Authorization: Bearer alice")...)
	if r := w.seen; r == nil || r.URL.Path != "/files/secret/a b" || r.URL.RawPath != "" || r.RequestURI != "/f%69les/%73ecret/a%20b" {
		t.Errorf("%+v", r)
	}
}

func TestPathParameters_attack_322(t *testing.T) {
	w := newWorld(t, config{dialect: proxy.Nginx, opts: proxy.ForwardAuthOptions{PathParameters: true}})
	for _, uri := range []string{"/a;b=c", "/admin%3Bx/users"} {
		if got := answer(w.ask(gateway, "GET", "/", nginx("GET", uri, "Authorization: Bearer alice")...)); got != alice {
			t.Errorf("%s: %s", uri, got)
		}
	}
}

func TestPaths(t *testing.T) {
	w := newWorld(t, config{dialect: proxy.Nginx})
	for uri, ok := range map[string]bool{
		"/": true, "/a/": true, "/a//?b": false, "/a?b=/../c": true, "/a?b=%2F%5C": true, "/%61": true, "/a;b=c": false, "/admin;x/users": false, "/admin%3Bx/users": false, "/a?b;c": true, "/a%20b": true, "/a?": true, "/...": true, "/a%252fb": false, "/a%0ab": false, "/%ff": false, "/%c0%af": false, "/%25": true, "/a%3Fb": true,
		"": false, "*": false, "a": false, "?": false, "app.example:443": false, "https://app.example/a": false, "//evil.example/a": false, "/\\evil.example": false,
		"/a%2Fb": false, "/a%2fb": false, "/a%5Cb": false, `/a\b`: false, "/open/..%2fadmin": false, "/open/%2e%2e/admin": false, "/open/.%2E/admin": false, "/open/../admin": false, "/open/./admin": false,
		"/open/..": false, "/open/%2e": false, "/open//admin": false, "/open/..;/admin": false, "/open/..;x=y/admin": false, "/open/%2e%2e;/admin": false, "/open/;/admin": false, "/.;/admin": false,
		"/a#b": false, "/a b": false, "/a\tb": false, "/é": false, "/a%": false, "/a%zz": false, "/a%00": false, "/" + strings.Repeat("a", 9000): false,
	} {
		want := "403"
		if ok {
			want = alice
		}
		if got := answer(w.ask(gateway, "GET", "/", nginx("GET", uri, "Authorization: Bearer alice")...)); got != want {
			t.Errorf("edge_A04/%.40q: %s, want %s %s", uri, got, want, w.log.String())
		}
		if strings.Contains(w.log.String(), "admin") {
			t.Errorf("%.40q: the log holds the path: %s", uri, w.log.String())
		}
	}
}

func TestHeaderNames(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("10.0.0.1")
	must(t, err)
	site, err := csrf.New(origin, &csrf.Options{Proxies: proxies})
	must(t, err)
	h, err := proxy.NewForwardAuth(proxy.Nginx, proxies, site, authn.New(bearer{}, nil), authz.Require(authz.IsAuthenticated), &proxy.ForwardAuthOptions{Headers: proxy.HeaderNames{User: "remote-user", Scopes: "X-Forwarded-User"}})
	must(t, err)
	w := &world{t: discard{t}, handler: h}
	rec := w.ask(gateway, "GET", "/", nginx("GET", "/a", "Authorization: Bearer alice")...)
	if rec.Header().Get("Remote-User") != "1" || len(rec.Header()["X-Forwarded-User"]) != 1 || len(rec.Header()["X-Auth-User"]) != 0 {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	if rec := w.ask(gateway, "GET", "/", nginx("GET", "/a", "Authorization: Bearer alice", "REMOTE_USER: 2")...); rec.Code != 400 {
		t.Errorf("edge_A04: %d", rec.Code)
	}
}

// discard is a T that ignores complaints about the usual names.
type discard struct{ testing.TB }

func (discard) Errorf(string, ...any) {}

func TestNewRefuses(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("10.0.0.1")
	must(t, err)
	site, err := csrf.New(origin, &csrf.Options{Proxies: proxies})
	must(t, err)
	direct, err := csrf.New(origin, nil)
	must(t, err)
	auth, guard := authn.New(bearer{}, nil), authz.Require(authz.IsAuthenticated)
	type args struct {
		dialect proxy.Dialect
		proxies authn.TrustedProxies
		site    *csrf.Site
		auth    *authn.Middleware
		guard   proxy.Guard
		opts    proxy.ForwardAuthOptions
	}
	good := args{proxy.Nginx, proxies, site, auth, guard, proxy.ForwardAuthOptions{}}
	for what, change := range map[string]func(*args){
		"no dialect":             func(a *args) { a.dialect = 0 },
		"an unknown dialect":     func(a *args) { a.dialect = 9 },
		"no proxies":             func(a *args) { a.proxies = authn.TrustedProxies{} },
		"no site":                func(a *args) { a.site = nil },
		"a site without proxies": func(a *args) { a.site = direct },
		"no middleware":          func(a *args) { a.auth = nil },
		"no guard":               func(a *args) { a.guard = nil },
		"login elsewhere":        func(a *args) { a.opts.Login = "https://evil.example/login" },
		"login at a host":        func(a *args) { a.opts.Login = "//evil.example" },
		"login unclean":          func(a *args) { a.opts.Login = "/x/../login" },
		"login with a fragment":  func(a *args) { a.opts.Login = "/login?a#b" },
		"login over http":        func(a *args) { a.opts.Login = "http://app.example/login" },
		"login of no path":       func(a *args) { a.opts.Login = "https://app.example" },
		"login with a user":      func(a *args) { a.opts.Login = "https://app.example@evil.example/login" },
		"login at a longer host": func(a *args) { a.opts.Login = "https://app.example.evil.example/login" },
		"login, two slashes":     func(a *args) { a.opts.Login = "https://app.example//evil.example" },
		"another status":         func(a *args) { a.opts.Accepted = 403 },
		"prefix with a slash":    func(a *args) { a.opts.Prefix = "/x/" },
		"prefix without":         func(a *args) { a.opts.Prefix = "x" },
		"prefix with a query":    func(a *args) { a.opts.Prefix = "/x?y" },
		"an issuer of no name":   func(a *args) { a.opts.Issuers = []string{""} },
		"a name twice":           func(a *args) { a.opts.Headers = proxy.HeaderNames{User: "X-A", Client: "x-a"} },
		"a name of a default":    func(a *args) { a.opts.Headers.Issuer = "X-Auth-User" },
		"an underscore":          func(a *args) { a.opts.Headers.User = "X_Auth_User" },
		"a forwarding header":    func(a *args) { a.opts.Headers.User = "X-Forwarded-For" },
		"Authorization":          func(a *args) { a.opts.Headers.User = "authorization" },
		"Set-Cookie":             func(a *args) { a.opts.Headers.User = "Set-Cookie" },
		"Location":               func(a *args) { a.opts.Headers.User = "Location" },
	} {
		a := good
		change(&a)
		if h, err := proxy.NewForwardAuth(a.dialect, a.proxies, a.site, a.auth, a.guard, &a.opts); err == nil || h != nil || !strings.HasPrefix(err.Error(), "proxy: NewForwardAuth: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := proxy.NewForwardAuth(proxy.Caddy, proxies, csrf.Loopback(), auth, guard, nil); err != nil {
		t.Errorf("on loopback: %v", err)
	}
	for _, name := range []string{"nginx", "traefik", "caddy", "envoy"} {
		if d, err := proxy.ParseDialect(name); err != nil || d.String() != name {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	for _, name := range []string{"", "Nginx", "haproxy"} {
		if d, err := proxy.ParseDialect(name); err == nil || d != 0 || d.String() != "" {
			t.Errorf("%q: %v, %v", name, d, err)
		}
	}
	if proxy.Dialect(9).String() != "" {
		t.Error("an unknown dialect has a name")
	}
}
