package oauth2

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

func TestMatchRedirect(t *testing.T) {
	web := storage.Client{RedirectURIs: []string{"https://good.example/cb", "https://good.example/cb?x=1", "https://other.example:8443/a/b"}}
	t.Run("attack_133_exact", func(t *testing.T) {
		for _, good := range web.RedirectURIs {
			if !MatchRedirect(web, good) {
				t.Errorf("%q: refused", good)
			}
		}
		for _, bad := range []string{
			"", "https://good.example", "https://good.example/", "https://good.example/cb/", "https://good.example/CB", "https://GOOD.example/cb", "HTTPS://good.example/cb",
			"http://good.example/cb", "https://good.example:443/cb", "https://good.example./cb", "https://good.example/cb?", "https://good.example/cb?x=1&y=2", "https://good.example/cb?x=2",
			"https://good.example/cb#", "https://good.example/cb#x", "https://good.example/cb;x", "https://good.example/../cb", "https://good.example/a/../cb", "https://good.example/%63b",
			"https://good.example/%2e%2e/cb", "https://good.example//cb", "https://good.example/./cb", "https://good.example/cb%00", "https://good.example/cb\x00", "https://good.example/cb ",
			" https://good.example/cb", "https://good.example/cb\t", "https://good.example/cb\n", "https://good.example\\cb", "https:\\\\good.example/cb", "https:/good.example/cb", "https:good.example/cb",
			"//good.example/cb", "https://good@evil.example/cb", "https://good.example@evil.example/cb", "https://good.example%40evil.example/cb", "https://good.example:x@evil.example/cb",
			"https://good.example.evil.example/cb", "https://evilgood.example/cb", "https://evil.example/cb", "https://evil.example/good.example/cb", "https://evil.example?https://good.example/cb",
			"https://evil.example#https://good.example/cb", "https://good.example:8443/cb", "https://other.example/a/b", "https://other.example:8443/a/b/", "https://other.example:8444/a/b",
			"https://[::1]/cb", "https://127.0.0.1/cb", "https://xn--good-example/cb", "https://gооd.example/cb", "javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
			"good.example/cb", "/cb", "cb", "https://good.example/cb,https://evil.example", "https://good.example/cb https://evil.example", "https://*.example/cb", "https://good.example/*",
			"https://good.example/cb?x=1#", "https://good.example/cb?X=1", "https://good.example/cb?x=%31", "https://good.example/" + strings.Repeat("a", 3000),
		} {
			if MatchRedirect(web, bad) {
				t.Errorf("%q: matches", bad)
			}
		}
	})
	native := storage.Client{Native: true, RedirectURIs: []string{"http://127.0.0.1/callback", "http://[::1]:1/cb?a=b", "http://localhost:5000/cb", "https://good.example/cb", "com.example.app:/cb"}}
	t.Run("attack_134_ports", func(t *testing.T) {
		for _, good := range []string{
			"http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://[::1]/cb?a=b", "http://[::1]:8080/cb?a=b", "http://localhost:5000/cb", "com.example.app:/cb",
		} {
			if !MatchRedirect(native, good) {
				t.Errorf("%q: refused", good)
			}
		}
		for _, bad := range []string{
			"http://127.0.0.1:1/callback/", "http://127.0.0.1:1/", "http://127.0.0.1:1", "https://127.0.0.1:1/callback", "http://127.0.0.1:/callback", "http://127.0.0.1:0/callback", "http://127.0.0.1:01/callback",
			"http://127.0.0.1:123456/callback", "http://127.0.0.1:1x/callback", "http://127.0.0.1:+1/callback", "http://127.0.0.1:80@evil.example/callback", "http://127.0.0.1@evil.example/callback",
			"http://127.0.0.1.evil.example/callback", "http://127.0.0.2/callback", "http://[::1]:8080/callback", "http://127.0.0.1:8080/cb?a=b", "http://localhost:5001/cb", "http://localhost/cb", "http://localhost/callback",
			"http://127.0.0.1:1/callback#x", "http://127.0.0.1:1/callback?x", "https://good.example:8443/cb", "http://[0:0:0:0:0:0:0:1]/cb?a=b", "http://2130706433/callback", "http://0x7f.1/callback", "com.example.app:1/cb",
		} {
			if MatchRedirect(native, bad) {
				t.Errorf("%q: matches", bad)
			}
		}
		for uri, want := range map[string]bool{
			"http://localhost:5000/cb": true, "http://localhost:5001/cb": true, "http://localhost/cb": true, "http://127.0.0.1:1/callback": true,
			"http://localhost:5001/cb/": false, "http://localhost:5001/callback": false, "https://localhost:5001/cb": false, "http://localhost.evil.example:5001/cb": false,
			"http://localhost:80@evil.example/cb": false, "http://LOCALHOST:5001/cb": false, "http://127.0.0.1:5001/cb": false, "http://localhost:0/cb": false,
		} {
			if got := MatchLocalhost(native, uri); got != want {
				t.Errorf("any port on localhost, %q: %t", uri, got)
			}
		}
		notNative := native
		notNative.Native = false
		if MatchRedirect(notNative, "http://127.0.0.1:1/callback") || MatchLocalhost(notNative, "http://localhost:5001/cb") {
			t.Error("another port for a client that is not native")
		}
	})
}

func TestCheckRedirect(t *testing.T) {
	for uri, native := range map[string]bool{
		"https://a.example/cb": false, "https://a.example": false, "https://a.example:8443/cb?x=1": false, "http://127.0.0.1/cb": true, "http://localhost:3000/": false, "com.example.app:/cb": true, "com.example.app://callback": true, "com.example.app://host/cb": true,
		"https://xn--bcher-kva.example/cb": false, "http://[::1]:8080/cb": true,
	} {
		if err := CheckRedirect(uri, native); err != nil {
			t.Error(err)
		}
	}
	for _, uri := range []string{
		"", "/cb", "a.example/cb", "https://", "https:///cb", "http://a.example/cb", "http://127.0.0.1.a.example/", "https://a.example/#", "https://a.example/cb#x", "https://u@a.example/", "https://u:p@a.example/cb",
		"https://*.a.example/cb", "https://a.example/a b", "https://a.example/\\b", "https://a.example/a/../b", "https://a.example/..", "javascript:alert(1)", "data:text/html,x", "file:///x", "app:/cb", "app://host/cb", "com.example.app://u@host/cb", "com.example.app://a,b/cb",
		"com.example.app:cb", "ftp://a.example/", "https://a.example/<b>", "https://a.example/é", "https://a.example/" + strings.Repeat("a", 3000),
		"https://a.example;sandbox/cb", "https://a.example,b.example/cb", "https://'self'/cb", "https://$a/cb", "http://[::1%25eth0]/cb",
	} {
		if CheckRedirect(uri, true) == nil {
			t.Errorf("%q: taken", uri)
		}
	}
	if CheckRedirect("com.example.app:/cb", false) == nil {
		t.Error("a private scheme of a client that is not native")
	}
}
