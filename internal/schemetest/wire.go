package schemetest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential"
)

// Wire is a scheme that reads its credential from one header line, with a good credential of it.
type Wire struct {
	// Scheme is the scheme.
	Scheme authn.Authenticator
	// Keyword stands before the credential in Authorization. It is empty for a scheme that reads
	// a Cookie, and then Cookie is the cookie's name.
	Keyword, Cookie string
	// Good is the text of a credential that is accepted, and Subject its account.
	Good, Subject string
	// Kind names the credential in the answers of Django REST Framework: "token" (the zero value)
	// or "basic". Under Bearer and DPoP the answers are those of RFC 6750.
	Kind string
	// Invalid is the detail for a text that is one word and no good credential. "" is "Invalid
	// token.", and "*" any.
	Invalid string
	// Add makes the rest of a request; nil is nothing.
	Add func(*http.Request)
	// Lookups returns how often the store was called so far. nil is not counted.
	Lookups func() int64
}

// answer is what a request gets.
type answer string

const (
	taken     answer = "accepted"
	anonymous answer = "anonymous"
	malformed answer = "400"
	refused   answer = "401"
	notTaken  answer = "400, 401 or anonymous"
)

// sent is one row of the table.
type sent struct {
	name   string
	lines  []string
	want   answer
	detail string // of a 401; "" is not compared
}

// Run sends what the table has, and compares the answers with those of the standards: RFC 9110
// and RFC 6750 under Bearer and DPoP, Django REST Framework under any other keyword. After it the
// good credential is accepted as before.
func (x Wire) Run(t *testing.T) {
	t.Helper()
	if x.Invalid == "" {
		x.Invalid = "Invalid token."
	}
	if x.Kind == "" {
		x.Kind = "token"
	}
	rows := x.cookies()
	if x.Keyword != "" {
		rows = x.headers()
	}
	for _, row := range append(rows, x.texts()...) {
		t.Run(row.name, func(t *testing.T) { x.is(t, row) })
	}
	t.Run("good_after_all_of_it", func(t *testing.T) { x.is(t, sent{lines: []string{x.line(x.Good)}, want: taken}) })
}

func (x Wire) line(text string) string {
	if x.Keyword != "" {
		return x.Keyword + " " + text
	}
	return x.Cookie + "=" + text
}

// is asks the scheme, and a middleware with it, which must agree.
func (x Wire) is(t *testing.T, row sent) {
	t.Helper()
	for what, ask := range map[string]func(*http.Request) (authn.Identity, error){
		"scheme": x.Scheme.Authenticate,
		"middleware": func(r *http.Request) (authn.Identity, error) {
			ctx, err := authn.New(authn.Chain{x.Scheme}, &authn.Options{Logger: Quiet}).Authenticate(r)
			return authn.FromContext(ctx), err
		},
	} {
		r := Request("GET", "")
		if x.Keyword != "" {
			r.Header["Authorization"] = row.lines
		} else {
			r.Header["Cookie"] = row.lines
		}
		if x.Add != nil {
			x.Add(r)
		}
		before := x.lookups()
		got, detail := x.outcome(ask(r))
		switch {
		case row.want == notTaken && (got == malformed || got == refused || got == anonymous):
		case got != row.want:
			t.Errorf("%s: %.60q: %s %q, want %s", what, row.lines, got, detail, row.want)
		case row.detail != "" && detail != row.detail && detail != unrecognized:
			t.Errorf("%s: %.60q: %q, want %q", what, row.lines, detail, row.detail)
		}
		if n := x.lookups() - before; n > 1 {
			t.Errorf("%s: %.60q: %d calls of the store", what, row.lines, n)
		}
	}
}

func (x Wire) lookups() int64 {
	if x.Lookups == nil {
		return 0
	}
	return x.Lookups()
}

// unrecognized is the detail of authn.ErrUnrecognized, which a middleware turns into the scheme's.
const unrecognized = "unrecognized"

// outcome is what a request got.
func (x Wire) outcome(id authn.Identity, err error) (answer, string) {
	var e *authn.Error
	switch {
	case err == nil && id.Authenticated() && id.Subject != x.Subject:
		return answer("accepted for " + id.Subject), ""
	case err == nil && id.Authenticated():
		return taken, ""
	case errors.As(err, &e):
		return answer(fmt.Sprint(e.Status)), e.Detail
	case errors.Is(err, authn.ErrUnrecognized):
		return refused, unrecognized
	case err == nil || errors.Is(err, authn.ErrNoCredentials):
		return anonymous, ""
	}
	return answer("the fault " + err.Error()), ""
}

// strict reports a keyword under which the credential is one token68 (RFC 6750, section 2.1).
func (x Wire) strict() bool { return x.Keyword == "Bearer" || x.Keyword == "DPoP" }

// headers are the rows about the line Authorization.
func (x Wire) headers() []sent {
	k, good := x.Keyword, x.Good
	what := map[string]string{"token": "Token", "basic": "Credentials"}[x.Kind]
	none := "Invalid " + x.Kind + " header. No credentials provided."
	spaces := "Invalid " + x.Kind + " header. " + what + " string should not contain spaces."
	bytes := "Invalid " + x.Kind + " header. Token string should not contain invalid characters."
	rows := []sent{
		{"attack_001_two_good_headers", []string{k + " " + good, k + " " + good}, malformed, ""},
		{"attack_001_good_before_junk", []string{k + " " + good, k + " junk"}, malformed, ""},
		{"attack_001_junk_before_good", []string{k + " junk", k + " " + good}, malformed, ""},
		{"attack_001_another_keyword_before_good", []string{"X-Other YTpi", k + " " + good}, malformed, ""},
		{"attack_003_lower_case", []string{strings.ToLower(k) + " " + good}, taken, ""},
		{"attack_003_upper_case", []string{strings.ToUpper(k) + " " + good}, taken, ""},
		{"attack_003_mixed_case", []string{strings.ToLower(k[:1]) + strings.ToUpper(k[1:]) + " " + good}, taken, ""},
		{"many_spaces", []string{k + strings.Repeat(" ", 100) + good}, taken, ""},
		{"white_space_before_the_keyword", []string{" \t" + k + " " + good}, taken, ""},
		{"no_header", nil, anonymous, ""},
		{"an_empty_header", []string{""}, anonymous, ""},
		{"another_keyword", []string{"X-Other " + good}, anonymous, ""},
		{"a_longer_keyword", []string{k + "x " + good}, anonymous, ""},
		{"a_shorter_keyword", []string{k[:len(k)-1] + " " + good}, anonymous, ""},
		{"no_space", []string{k + good}, anonymous, ""},
		{"a_colon_after_the_keyword", []string{k + ": " + good}, anonymous, ""},
	}
	// What is not one word: Django REST Framework has a text for each case, RFC 6750 one status.
	for _, row := range []sent{
		{"attack_002_no_credential", []string{k}, refused, none},
		{"attack_002_only_white_space", []string{k + " \t "}, refused, none},
		{"attack_002_two_words", []string{k + " a b"}, refused, spaces},
		{"attack_002_good_and_another_word", []string{k + " " + good + " x"}, refused, spaces},
		{"attack_004_comma_list", []string{k + " " + good + ", Basic YTpi"}, refused, spaces},
		{"attack_005_not_UTF-8", []string{k + " \xff\xfe"}, refused, bytes},
		{"attack_002_tab", []string{k + " \t" + good}, taken, ""},
		{"attack_002_space_after", []string{k + " " + good + " "}, taken, ""},
		{"attack_002_only_equals_signs", []string{k + " ===="}, refused, ""},
		{"attack_004_comma", []string{k + " " + good + ","}, refused, ""},
		{"quotes", []string{k + ` "` + good + `"`}, refused, ""},
		{"attack_005_NUL", []string{k + " a\x00b"}, refused, ""},
	} {
		if x.strict() {
			row.want, row.detail = malformed, "The Authorization header is malformed."
		}
		rows = append(rows, row)
	}
	for name, extra := range map[string]string{
		"NUL": "\x00", "DEL": "\x7f", "carriage return": "\rX", "line break": "\r\nX-Injected: 1", "byte order mark": "\ufeff",
		"zero-width space": "\u200b", "full-width A": "\uff21", "right-to-left": "\u202e", "escape": "\x1b[31m",
	} {
		want := refused
		if x.strict() {
			want = malformed
		}
		rows = append(rows, sent{"attack_005_" + name, []string{k + " " + good + extra}, want, ""})
	}
	return append(rows,
		sent{"attack_008_spaces_before_junk", []string{k + strings.Repeat(" ", 10_000) + "bad"}, refused, ""},
		sent{"attack_008_100,000_spaces_before_junk", []string{k + strings.Repeat(" ", 100_000) + "bad"}, refused, ""},
	)
}

// cookies are the rows about the line Cookie.
func (x Wire) cookies() []sent {
	good := x.Cookie + "=" + x.Good
	return []sent{
		{"no_cookie", nil, anonymous, ""},
		{"another_cookie", []string{"x" + x.Cookie + "=" + x.Good}, anonymous, ""},
		{"another_case", []string{strings.ToUpper(x.Cookie) + "=" + x.Good}, notTaken, ""},
		{"beside_others", []string{"a=b; " + good + "; c=d"}, taken, ""},
		{"two_cookies", []string{good + "; " + x.Cookie + "=junk"}, notTaken, ""},
		{"two_cookies_junk_first", []string{x.Cookie + "=junk; " + good}, notTaken, ""},
		{"two_lines", []string{good, x.Cookie + "=junk"}, notTaken, ""},
	}
}

// texts are the rows with another text in the place of the good one. None is accepted, and none is
// a fault.
func (x Wire) texts() (rows []sent) {
	want, detail := refused, strings.TrimPrefix(x.Invalid, "*")
	if x.Keyword == "" {
		want, detail = notTaken, ""
	}
	row := func(name, text string) {
		rows = append(rows, sent{name, []string{x.line(text)}, want, detail})
	}
	row("attack_006_10,000_bytes", strings.Repeat("a", 10_000))
	row("attack_007_dots", strings.Repeat("a.", 5000))
	row("attack_007_only_dots", strings.Repeat(".", 10_000))
	for _, size := range []int{authn.MaxCredential + 1, 64 << 10, 1 << 20} {
		long := ""
		if x.Keyword != "" {
			long = "Invalid authorization header. The credential is too long."
		}
		rows = append(rows, sent{fmt.Sprintf("attack_006_%d_bytes", size), []string{x.line(strings.Repeat("A", size))}, want, long})
	}
	// The credentials of other schemes, and what looks like them. One of the scheme's own kind is
	// unknown to it.
	for _, prefix := range []string{"vst", "vkn", "vat", "vrt", "acme"} {
		row("text_of_"+prefix, credential.MustFormat(prefix).Encode([credential.Size]byte{1}))
	}
	row("text_of_hex", strings.Repeat("0123456789", 4))
	row("text_of_JWT", "eyJhbGciOiJub25lIn0.e30.")
	row("text_of_JWT_with_signature", "e30.e30.e30")
	row("text_of_Basic", base64.StdEncoding.EncodeToString([]byte("alice:wonderland-43")))
	row("text_of_session", strings.Repeat("0", 43))
	return rows
}
