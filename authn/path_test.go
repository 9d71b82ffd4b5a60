package authn_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

func TestCheckPath(t *testing.T) {
	for _, ok := range []string{"", "/", "/a/b", "/a%20b", "/%61", "/a/../b", "/...", "/%2e%2e%2e", "/a%2e", "/%252f", "/..a", "/%2ea", "//", "/%2e%2e;x"} {
		if err := authn.CheckPath(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"/a%2Fb", "/a%2fb", "/a%5Cb", "/a%5cb", `/a\b`, "/%2e", "/%2E/x", "/.%2e", "/%2e./x", "/a/%2e%2E/b", "/x/..%2fb", "/%", "/%2", "/%zz", "/a%00", "/%2e%2e"} {
		if err := authn.CheckPath(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// What CheckPath accepts has the same segments before and after decoding.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"/a%2Fb", "/%2e%2e/x", `/a\b`, "/a/./b", "/%252e", "/%", "/a%00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		if authn.CheckPath(escaped) != nil {
			return
		}
		decoded, err := url.PathUnescape(escaped)
		if err != nil {
			t.Fatalf("%q cannot be decoded", escaped)
		}
		sent, read := strings.Split(escaped, "/"), strings.Split(decoded, "/")
		if len(sent) != len(read) || strings.ContainsAny(decoded, "\\") {
			t.Fatalf("%q is read as %q", escaped, decoded)
		}
		for i := range sent {
			if dots := read[i] == "." || read[i] == ".."; dots && sent[i] != read[i] {
				t.Fatalf("%q hides a dot segment: %q", escaped, decoded)
			}
		}
		if path.Clean("/"+escaped) == "/"+escaped && path.Clean("/"+decoded) != "/"+decoded {
			t.Fatalf("%q is clean and %q is not", escaped, decoded)
		}
	})
}

func TestCookie(t *testing.T) {
	for name, tc := range map[string]struct {
		lines []string
		want  string
		err   error
	}{
		"none":              {nil, "", authn.ErrNoCredentials},
		"another":           {[]string{"id2=x; xid=y"}, "", authn.ErrNoCredentials},
		"one":               {[]string{"a=b; id=v; c=d"}, "v", nil},
		"quoted":            {[]string{`id="v"`}, `"v"`, nil},
		"with =":            {[]string{"id=v=w=="}, "v=w==", nil},
		"empty":             {[]string{"id="}, "", nil},
		"no value":          {[]string{"id"}, "", authn.ErrNoCredentials},
		"edge_A05/two":      {[]string{"id=v; id=v"}, "", authn.ErrSeveralCookies},
		"two lines":         {[]string{"id=v", "id=w"}, "", authn.ErrSeveralCookies},
		"another spelling":  {[]string{"ID=v"}, "", nil},
		"beside a spelling": {[]string{"id=v; Id=w"}, "", authn.ErrSeveralCookies},
		"blanks":            {[]string{"a=b;\tid =v"}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Cookie"] = tc.lines
			if got, err := authn.Cookie(r, "id"); got != tc.want || err != tc.err {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// Cookie agrees with net/http wherever that finds one cookie of the name, and a value.
func FuzzCookie(f *testing.F) {
	for _, s := range []string{"id=v", "a=b; id=v", "id=v; id=w", "ID=v", `id="x y"`, "id", ";;id=;", "id =v"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for part := range strings.SplitSeq(line, ";") {
			if !strings.Contains(part, "=") {
				return // no cookie of a name (RFC 6265bis section 5.6); net/http reads a name without a value
			}
		}
		r := &http.Request{Header: http.Header{"Cookie": {line}}}
		got, err := authn.Cookie(r, "id")
		list := r.CookiesNamed("id")
		if len(list) > 1 && err != authn.ErrSeveralCookies {
			t.Fatalf("%q: two cookies, and %q, %v", line, got, err)
		}
		if err == nil && got != "" && len(list) == 1 && list[0].Value != strings.Trim(got, `"`) {
			t.Fatalf("%q: %q, net/http reads %q", line, got, list[0].Value)
		}
	})
}
