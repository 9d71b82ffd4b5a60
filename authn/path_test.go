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
	check := func(text string) error {
		u, err := url.ParseRequestURI(text)
		if err != nil {
			return err
		}
		return authn.CheckPath(u)
	}
	for _, ok := range []string{"/", "/a/b", "/a%20b", "/%61", "/...", "/%2e%2e%2e", "/a%2e", "/..a", "/%2ea", "/a/", "/%C3%A9", "/a%25b", "/100%25", "/100%25/ab", "/100%25%20x", "/50%25-off", "/a%25gg", "/a?b=%2F&c=//../"} {
		if err := check(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{
		"/a%2Fb", "/a%2fb", "/a%5Cb", "/a%5cb", `/a\b`, "/%2e", "/%2E/x", "/.%2e", "/%2e./x", "/a/%2e%2E/b", "/x/..%2fb", "/%", "/%2", "/%zz", "/a%00", "/%2e%2e",
		"/a;b=c", "/a%3bb", "/a;", "/a/../b", "/a/.", "//", "/a//b", "/..;/a", "/%2e%2e;x/a", "/;/a", "/a%252fb", "/a%25252Eb", "/a%255c", "/a%2500", "/a%0Ab", "/a%7f", "/%c0%af", "/%ff", "/%3b/a", "/%2561dmin", "/%25%36%31dmin", "/a%252561", "/a%25AB", "/%2541/x", "/100%25ab", "/x%2520y",
	} {
		if err := check(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		} else if strings.Contains(err.Error(), "x/a") {
			t.Errorf("%q is in the error", bad)
		}
	}
	for _, u := range []*url.URL{{Opaque: "x"}, {Path: "/a", RawPath: "/b"}, {Path: "/a", RawPath: "/%zz"}} {
		if authn.CheckPath(u) == nil {
			t.Errorf("%+v is accepted", u)
		}
	}
}

// A program that decodes a path again gets the path for which the permission was decided.
func TestEncodedTwice_attack_306(t *testing.T) {
	for _, text := range []string{"/%2561dmin", "/files/%2570rivate", "/%25%36%31dmin", "/%252561dmin"} {
		u, err := url.ParseRequestURI(text)
		if err != nil {
			t.Fatal(err)
		}
		if authn.CheckPath(u) == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// With parameters a semicolon is part of a name, but never of a dot segment or an empty one.
func TestCheckPathWithParameters(t *testing.T) {
	for text, ok := range map[string]bool{"/a;b=c": true, "/a%3Bb": true, "/a;": true, "/a/b": true, "/..;a/b": false, "/.;": false, "/;a/b": false, "/%3Ba": false, "/a;b%2Fc": false, "/a;b//c": false} {
		u, err := url.ParseRequestURI(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := authn.CheckPathWithParameters(u); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A path that CheckPath accepts has the same clean segments before and after decoding.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"/a%2Fb", "/%2e%2e/x", `/a\b`, "/a/./b", "/%252e", "/%", "/a%00b", "/;/a", "/%3B/.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.ParseRequestURI(text)
		if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(text, "/") || authn.CheckPath(u) != nil {
			return
		}
		escaped, _, _ := strings.Cut(text, "?")
		decoded, err := url.PathUnescape(escaped)
		if err != nil || decoded != u.Path || strings.Count(escaped, "/") != strings.Count(decoded, "/") || strings.ContainsAny(decoded, "\\\x00") {
			t.Fatalf("%q is read as %q and %q, %v", escaped, decoded, u.Path, err)
		}
		if again, err := url.PathUnescape(decoded); err == nil && again != decoded {
			t.Fatalf("%q is %q for a reader that decodes again", decoded, again)
		}
		if c := path.Clean(decoded); c != decoded && c+"/" != decoded {
			t.Fatalf("%q is not clean", decoded)
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

// Cookie returns the same value as net/http if that finds exactly one cookie of the name, with a
// value.
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

// A server that decodes once more removes parameters before it resolves dot segments.
func Test_edge_A09_semicolon(t *testing.T) {
	for _, bad := range []string{"/open/..%253b/admin", "/open/..%253Bx=y/admin", "/open/%2e%2e%25253b/admin", "/open/%253b/admin"} {
		u, err := url.ParseRequestURI(bad)
		must(t, err)
		if authn.CheckPath(u) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
