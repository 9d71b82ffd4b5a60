package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// checker knows one password and counts its calls.
type checker struct {
	asked []string
	err   error
}

func (c *checker) CheckPassword(_ *http.Request, name, password string) (authn.Login, error) {
	c.asked = append(c.asked, name+"|"+password)
	if c.err != nil {
		return authn.Login{}, c.err
	}
	if password != "right" {
		return authn.Login{}, authn.InvalidLogin()
	}
	return authn.Login{Subject: "id-" + name, Name: name, Epoch: 7, Roles: []string{"staff"}, Cookies: []*http.Cookie{{Name: "device", Value: "d"}}}, nil
}

// world is a login endpoint that issues "t-<subject>".
type world struct {
	*Handler
	checker checker
	begun   int
	err     error // of begin
	events  []audit.Event
	log     bytes.Buffer
}

func newWorld(t *testing.T, opts Options, more ...Field) *world {
	t.Helper()
	w := new(world)
	h, err := New(&w.checker, func(_ http.ResponseWriter, _ *http.Request, l authn.Login, more []string) ([]authn.Member, error) {
		if w.err != nil {
			return nil, w.err
		}
		w.begun++
		return []authn.Member{{Name: "token", Value: "t-" + l.Subject + strings.Join(more, "+")}, {Name: "expiry", Value: TimeOrNull(time.Time{})}}, nil
	}, &Config{
		Scheme: "demo", Options: opts, Fields: more, Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
		Endpoints: Endpoints{Challenge: func(*http.Request, error) string { return "Demo" }},
		Audit:     audit.To(func(_ context.Context, e audit.Event) { w.events = append(w.events, e) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = h
	return w
}

func post(kind, body string, headers ...string) *http.Request {
	r := httptest.NewRequest("POST", "/login", strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

const (
	jsonType = "application/json"
	good     = `{"username":"alice","password":"right"}`
	answer   = `{"token":"t-id-alice","expiry":null}` + "\n"
)

func TestLogin(t *testing.T) {
	w := newWorld(t, Options{})
	rec := w.do(post(jsonType, good))
	h := rec.Header()
	if rec.Code != 200 || rec.Body.String() != answer || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("Set-Cookie") != "device=d" {
		t.Errorf("%d %s %v", rec.Code, rec.Body, h)
	}
	if e := w.events[0]; len(w.events) != 1 || e.Kind != audit.LoginSucceeded || e.Subject != "id-alice" || e.Epoch != 7 || e.Scheme != "demo" || e.Source == "" {
		t.Errorf("%+v", w.events)
	}
	for name, x := range map[string]struct {
		err    error // of the checker
		begin  error
		code   int
		kind   audit.Kind
		reason string
	}{
		"wrong":     {authn.InvalidLogin(), nil, 401, audit.LoginFailed, "invalid_credentials"},
		"throttled": {authn.Throttled(time.Minute), nil, 429, audit.LoginThrottled, "throttled"},
		"fault":     {errors.New("down"), nil, 503, "", ""},
		"busy":      {&authn.Unavailable{Reason: "queue"}, nil, 503, "", ""},
		"stale":     {nil, storage.ErrStale, 401, audit.LoginFailed, "invalid_credentials"},
		"limit":     {nil, authn.PermissionDenied(""), 403, audit.LoginFailed, "permission_denied"},
		"unwritten": {nil, errors.New("read-only"), 503, "", ""},
	} {
		w := newWorld(t, Options{})
		w.checker.err, w.err = x.err, x.begin
		rec := w.do(post(jsonType, good))
		if rec.Code != x.code || rec.Header().Get("Set-Cookie") != "" || strings.Contains(rec.Body.String(), "t-id") {
			t.Errorf("%s: %d %s %v", name, rec.Code, rec.Body, rec.Header())
		}
		if challenge := rec.Header().Get("WWW-Authenticate"); (challenge == "Demo") != (x.code == 401) {
			t.Errorf("%s: challenge %q", name, challenge)
		}
		switch {
		case x.kind == "" && len(w.events) > 0:
			t.Errorf("%s: %+v", name, w.events)
		case x.kind != "" && (len(w.events) != 1 || w.events[0].Kind != x.kind || w.events[0].Reason != x.reason):
			t.Errorf("%s: %+v", name, w.events)
		}
	}
}

// Expired credentials in the request do not change the response.
func TestStaleCredentials(t *testing.T) {
	for _, body := range []string{good, `{"username":"alice","password":"wrong"}`, `{}`, `junk`} {
		want := newWorld(t, Options{}).do(post(jsonType, body))
		for _, h := range [][2]string{
			{"Authorization", "Token stale"}, {"Authorization", "Bearer stale"}, {"Authorization", "Basic eDp5"}, {"Cookie", "__Host-session=stale"}, {"Cookie", "device=old; device=older"},
		} {
			got := newWorld(t, Options{}).do(post(jsonType, body, h[0], h[1]))
			if got.Code != want.Code || got.Body.String() != want.Body.String() || len(got.Header()) != len(want.Header()) {
				t.Errorf("%s, %s: %d %s", body, h[1], got.Code, got.Body)
			}
		}
	}
}

// Fields can have other names. Errors use them, and fields with the default names are ignored.
func TestFieldNames_edge_C17(t *testing.T) {
	w := newWorld(t, Options{Username: "email", Password: "secret"}, Field{Name: "device", Optional: true})
	for _, x := range []struct {
		body string
		code int
		text string
	}{
		{`{"email":" a@b.example ","secret":"right"}`, 200, `{"token":"t-id-a@b.example","expiry":null}` + "\n"},
		{`{"email":"alice","secret":"right","device":"phone"}`, 200, `{"token":"t-id-alicephone","expiry":null}` + "\n"},
		{`{"username":"alice","password":"right"}`, 400, `{"email":["This field is required."],"secret":["This field is required."]}`},
		{`{"email":"alice","password":"right"}`, 400, `{"secret":["This field is required."]}`},
		{`{"email":"","secret":null}`, 400, `{"email":["This field may not be blank."],"secret":["This field may not be null."]}`},
	} {
		if rec := w.do(post(jsonType, x.body)); rec.Code != x.code || rec.Body.String() != x.text {
			t.Errorf("%s: %d %s", x.body, rec.Code, rec.Body)
		}
	}
	if len(w.checker.asked) != 2 || w.checker.asked[0] != "a@b.example|right" {
		t.Errorf("%q", w.checker.asked)
	}
	for name, o := range map[string]Options{
		"one name for both": {Username: "x", Password: "x"}, "default of the other": {Username: "password"}, "a field's name": {Username: "device"},
		"control": {Username: "a\nb"}, "blank around": {Username: " a"}, "quote": {Password: `a"`}, "long": {Username: strings.Repeat("x", 65)}, "not UTF-8": {Password: "\xff"},
	} {
		if err := o.Check(Field{Name: "device"}); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := New(&w.checker, w.begin, &Config{Options: o, Fields: []Field{{Name: "device"}}}); err == nil {
			t.Errorf("%s: accepted by New", name)
		}
	}
}

// The application can add members, but not replace those of the endpoint.
func TestMembers_edge_C17(t *testing.T) {
	add := func(_ *http.Request, l authn.Login) ([]authn.Member, error) {
		return []authn.Member{{Name: "user", Value: map[string]any{"id": l.Subject, "roles": l.Roles}}, {Name: "token", Value: "mine"}, {Name: "<b>", Value: "<i>"}}, nil
	}
	w := newWorld(t, Options{Members: add})
	const want = `{"token":"t-id-alice","expiry":null,"user":{"id":"id-alice","roles":["staff"]},"\u003cb\u003e":"\u003ci\u003e"}` + "\n"
	rec := w.do(post(jsonType, good))
	if rec.Code != 200 || rec.Body.String() != want || !json.Valid(rec.Body.Bytes()) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if text := w.log.String(); !strings.Contains(text, "member=token") || strings.Contains(text, "mine") {
		t.Error(text)
	}
	if w.do(post(jsonType, `{"username":"alice","password":"wrong"}`)); w.begun != 1 {
		t.Errorf("%d begun", w.begun)
	}
	// A failed login leaves no credentials and no cookies.
	const secret = "hunter2-in-a-panic"
	for name, x := range map[string]struct {
		f    func(*http.Request, authn.Login) ([]authn.Member, error)
		code int
	}{
		"refused": {func(*http.Request, authn.Login) ([]authn.Member, error) { return nil, authn.PermissionDenied("No.") }, 403},
		"fault":   {func(*http.Request, authn.Login) ([]authn.Member, error) { return nil, errors.New("down") }, 503},
		"panic":   {func(*http.Request, authn.Login) ([]authn.Member, error) { panic(secret) }, 500},
		"not JSON": {func(*http.Request, authn.Login) ([]authn.Member, error) {
			return []authn.Member{{Name: "x", Value: make(chan int)}}, nil
		}, 500},
		"its panic": {func(*http.Request, authn.Login) ([]authn.Member, error) {
			return []authn.Member{{Name: "x", Value: bomb{}}}, nil
		}, 500},
	} {
		w := newWorld(t, Options{Members: x.f})
		rec := w.do(post(jsonType, good))
		if rec.Code != x.code || w.begun != 0 || rec.Header().Get("Set-Cookie") != "" || strings.Contains(rec.Body.String(), secret) {
			t.Errorf("%s: %d %s, %d begun, %v", name, rec.Code, rec.Body, w.begun, rec.Header())
		}
	}
	// Changes that Members makes to its login have no effect.
	w = newWorld(t, Options{Members: func(_ *http.Request, l authn.Login) ([]authn.Member, error) {
		l.Roles[0], l.Cookies[0], l.Subject = "admin", nil, "root"
		return nil, nil
	}})
	if rec := w.do(post(jsonType, good)); rec.Body.String() != answer || rec.Header().Get("Set-Cookie") != "device=d" {
		t.Errorf("%s %v", rec.Body, rec.Header())
	}
}

// bomb panics when it is encoded.
type bomb struct{}

func (bomb) MarshalJSON() ([]byte, error) { panic("hunter2-in-a-panic") }

// form returns a multipart body and its type.
func form(t *testing.T, write func(*multipart.Writer)) (kind, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	write(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

func field(t *testing.T, w *multipart.Writer, name, value string) {
	t.Helper()
	if err := w.WriteField(name, value); err != nil {
		t.Fatal(err)
	}
}

// Browsers send FormData as multipart, and Django REST Framework reads it.
func TestMultipart_edge_C17(t *testing.T) {
	kind, body := form(t, func(w *multipart.Writer) {
		field(t, w, "username", " alice ")
		field(t, w, "password", "right")
		field(t, w, "other", "x")
	})
	w := newWorld(t, Options{})
	if rec := w.do(post(kind, body)); rec.Code != 200 || rec.Body.String() != answer {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	kind, body = form(t, func(w *multipart.Writer) {
		field(t, w, "username", "bob")
		field(t, w, "username", "alice")
		field(t, w, "password", " ü\r\n-- ")
	})
	if v, err := Read(httptest.NewRecorder(), post(kind, body), Username, Password); err != nil || v[0] != "alice" || v[1] != " ü\r\n-- " {
		t.Errorf("%q, %v", v, err)
	}
	const (
		b    = "multipart/form-data; boundary=x"
		part = "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nalice\r\n"
		pass = "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nright\r\n"
		bad  = `{"detail":"Malformed request: the body is no multipart form."}`
		utf  = `{"detail":"Malformed request: the body is not UTF-8."}`
	)
	file := func(disposition string) string {
		return part + "--x\r\nContent-Disposition: form-data; name=\"password\"; " + disposition + "\r\nContent-Type: text/plain\r\n\r\nright\r\n--x--\r\n"
	}
	required := `{"password":["This field is required."]}`
	for name, x := range map[string]struct {
		kind, body string
		code       int
		text       string
	}{
		"good":           {b, part + pass + "--x--\r\n", 200, answer},
		"preamble":       {b, "hello\r\n" + part + pass + "--x--\r\nbye", 200, answer},
		"8bit":           {b, part + strings.Replace(pass, "\r\n\r\n", "\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n", 1) + "--x--", 200, answer},
		"nothing":        {b, "--x--\r\n", 400, `{"username":["This field is required."],"password":["This field is required."]}`},
		"one field":      {b, part + "--x--\r\n", 400, required},
		"NUL":            {b, part + "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\na\x00b\r\n--x--\r\n", 400, `{"password":["Null characters are not allowed."]}`},
		"a file":         {b, file(`filename="p.txt"`), 400, `{"password":["Not a valid string."]}`},
		"no file chosen": {b, file(`filename=""`), 400, required},
		"coded filename": {b, file(`filename*=UTF-8''p.txt`), 400, `{"password":["Not a valid string."]}`},
		"no boundary":    {"multipart/form-data", part + pass + "--x--\r\n", 400, bad},
		"long boundary":  {"multipart/form-data; boundary=" + strings.Repeat("x", 71), "", 400, bad},
		"other boundary": {"multipart/form-data; boundary=y", part + pass + "--x--\r\n", 400, bad},
		"empty":          {b, "", 400, bad},
		"cut":            {b, part + pass, 400, bad},
		"cut in a value": {b, part + pass[:len(pass)-4], 400, bad},
		"no name":        {b, "--x\r\nContent-Disposition: form-data\r\n\r\nalice\r\n--x--\r\n", 400, bad},
		"no disposition": {b, "--x\r\n\r\nalice\r\n--x--\r\n", 400, bad},
		"attachment":     {b, strings.Replace(part, "form-data", "attachment", 1) + pass + "--x--\r\n", 400, bad},
		"base64":         {b, part + strings.Replace(pass, "\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1) + "--x--", 400, bad},
		"quoted":         {b, part + strings.Replace(pass, "\r\n\r\n", "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", 1) + "--x--", 400, bad},
		"value's UTF-8":  {b, strings.Replace(part, "alice", "\xff", 1) + pass + "--x--\r\n", 400, utf},
		"too many":       {b, strings.Repeat(part, 257) + pass + "--x--\r\n", 400, bad},
		"too large":      {b, part + "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n" + strings.Repeat("x", MaxBody), 413, `{"detail":"The body is larger than 53760 bytes."}`},
		"mixed":          {"multipart/mixed; boundary=x", part + pass + "--x--\r\n", 415, `{"detail":"Unsupported media type \"multipart/mixed\" in request."}`},
	} {
		if rec := newWorld(t, Options{}).do(post(x.kind, x.body)); rec.Code != x.code || rec.Body.String() != x.text {
			t.Errorf("%s: %d %s, want %d %s", name, rec.Code, rec.Body, x.code, x.text)
		}
	}
	for _, quoted := range []string{part + pass, file(`filename="right"`), strings.Replace(part, "alice", "right\xff", 1)} {
		if rec := newWorld(t, Options{}).do(post(b, quoted)); strings.Contains(rec.Body.String(), "right") {
			t.Errorf("an answer quotes the body: %s", rec.Body)
		}
	}
}

// One byte order mark is skipped. Editors and some clients write it.
func TestMark_edge_C17(t *testing.T) {
	const mark = "\ufeff"
	for name, x := range map[string]struct {
		kind, body string
		code       int
	}{
		"JSON":      {jsonType, mark + good, 200},
		"no type":   {"", mark + good, 200},
		"form":      {"application/x-www-form-urlencoded", mark + "username=alice&password=right", 200},
		"multipart": {"multipart/form-data; boundary=x", mark + "--x\r\nContent-Disposition: form-data; name=username\r\n\r\nalice\r\n--x\r\nContent-Disposition: form-data; name=password\r\n\r\nright\r\n--x--", 200},
		"two":       {jsonType, mark + mark + good, 400},
		"alone":     {jsonType, mark, 400},
		"inside":    {jsonType, `{` + mark + good[1:], 400},
		"after":     {jsonType, good + mark, 400},
		"UTF-16":    {jsonType, "\xff\xfe{\x00", 400},
	} {
		if rec := newWorld(t, Options{}).do(post(x.kind, x.body)); rec.Code != x.code {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	// In a password it is a character like any other.
	v, err := Read(httptest.NewRecorder(), post(jsonType, `{"username":"alice","password":"`+mark+`x"}`), Username, Password)
	if err != nil || v[1] != mark+"x" {
		t.Errorf("%q, %v", v, err)
	}
}

func TestMaxBytes(t *testing.T) {
	f := Field{Name: "name", Trim: true, Optional: true, MaxBytes: 4}
	for body, want := range map[string]string{`{"name":" abcd "}`: "", `{"name":"abcde"}`: `{"name":["Ensure this field has no more than 4 bytes."]}`, `{"name":"ééé"}`: `{"name":["Ensure this field has no more than 4 bytes."]}`} {
		rec := httptest.NewRecorder()
		_, err := Read(rec, post(jsonType, body), f)
		var e *authn.Error
		if errors.As(err, &e) {
			authn.WriteDetail(rec, nil, e)
		}
		if rec.Body.String() != want {
			t.Errorf("%s: %s", body, rec.Body)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	begin := func(http.ResponseWriter, *http.Request, authn.Login, []string) ([]authn.Member, error) {
		return nil, nil
	}
	if _, err := New(nil, begin, nil); err == nil {
		t.Error("no checker")
	}
	if _, err := New(&checker{}, nil, nil); err == nil {
		t.Error("no begin")
	}
	defer func() {
		if recover() == nil {
			t.Error("Must did not panic")
		}
	}()
	Must(New(nil, begin, nil))
}
