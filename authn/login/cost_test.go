package login

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime/multipart"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// A body costs little more memory than its own size, whatever it contains.
func TestBodyCost_attack_452(t *testing.T) {
	const size = 60 << 10
	fill := func(text string) string { return strings.Repeat(text, size/len(text)) }
	var parts bytes.Buffer
	m := multipart.NewWriter(&parts)
	for _, name := range []string{"other", "username", "password"} {
		if err := m.WriteField(name, strings.Repeat("x", 15<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct{ kind, body string }{
		"JSON, escapes":           {"application/json", `{"username":"` + fill(`\u00e9`) + `","password":"x"}`},
		"JSON, pairs":             {"application/json", `{"username":"` + fill(`\ud83d\ude00`) + `","password":"x"}`},
		"JSON, half pairs":        {"application/json", `{"username":"` + strings.Repeat(`\ud83d`, 2000) + `","password":"` + strings.Repeat(`\ud83d`, 2000) + `"}`},
		"JSON, as long as can be": {"application/json", `{"username":"` + strings.Repeat(`\u00e9`, 2000) + `","password":"` + strings.Repeat(`\u4e00`, 1300) + `"}`},
		"JSON, another member":    {"application/json", `{"other":"` + fill(`\n`) + `","username":"a"}`},
		"JSON, a name":            {"application/json", `{"` + fill(`\u0061`) + `":1}`},
		"JSON, a number":          {"application/json", `{"username":` + fill("1") + `}`},
		"JSON, numbers":           {"application/json", `{"username":1,"password":[` + strings.Repeat("1.5,", 200) + `1]}`},
		"form, escapes":           {formType, "username=" + fill("%61") + "&password=x"},
		"form, spaces":            {formType, "username=" + fill("+") + "&password=x"},
		"form, another field":     {formType, "other=" + fill("%61") + "&username=a"},
		"form, a name":            {formType, fill("%61") + "=x"},
		"form, fields":            {formType, strings.Repeat("a=b&", 200) + "other=" + fill("b")},
		"multipart":               {m.FormDataContentType(), parts.String()},
	} {
		for _, announced := range []bool{true, false} {
			body := x.body
			if most := 50 << 10; len(body) > most { // below the limit of the body
				body = body[:most-len(body[size:])] + body[size:]
			}
			if !announced && len(body) > maxUnknown {
				continue // 413
			}
			t.Run(name, func(t *testing.T) {
				run := func() {
					r := httptest.NewRequest("POST", "/", strings.NewReader(body))
					r.Header.Set("Content-Type", x.kind)
					if !announced {
						r.ContentLength = -1
					}
					_, _ = Read(httptest.NewRecorder(), r, Username, Password)
				}
				run()
				const n = 20
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range n {
					run()
				}
				runtime.ReadMemStats(&after)
				used := int(after.TotalAlloc-before.TotalAlloc)/n - len(body)
				t.Logf("%d bytes, %d more", len(body), used)
				most := 48 << 10
				if raceEnabled {
					most = 64 << 10
				}
				if used > most {
					t.Errorf("%d bytes more than the body", used)
				}
			})
		}
	}
}

// A field gets what it needs, and no more. What it needs is a limit of the body too.
func TestFieldLimits(t *testing.T) {
	long := Field{Name: "text", Trim: true, MaxBytes: 9000}
	for name, x := range map[string]struct {
		fields     []Field
		kind, body string
		code       int
	}{
		"default":               {[]Field{Username}, formType, "username=" + strings.Repeat("x", 4096), 200},
		"beyond":                {[]Field{Username}, formType, "username=" + strings.Repeat("x", 4097), 400},
		"spaces":                {[]Field{Username}, formType, "username=" + strings.Repeat("+", 100) + strings.Repeat("x", 4096), 200},
		"password with spaces":  {[]Field{Password}, formType, "password=+" + strings.Repeat("x", 4096), 400},
		"escapes in a form":     {[]Field{Username}, formType, "username=" + strings.Repeat("%61", 4096), 200},
		"JSON":                  {[]Field{Username}, "", `{"username":"` + strings.Repeat("x", 4096) + `"}`, 200},
		"JSON beyond":           {[]Field{Username}, "", `{"username":"` + strings.Repeat("x", 4097) + `"}`, 400},
		"escapes":               {[]Field{Username}, "", `{"username":"` + strings.Repeat(`\u0061`, 4096) + `"}`, 200},
		"wide escapes":          {[]Field{Username}, "", `{"username":"` + strings.Repeat(`\u4e00`, 1365) + `"}`, 200},
		"wide escapes beyond":   {[]Field{Username}, "", `{"username":"` + strings.Repeat(`\u4e00`, 1366) + `"}`, 400},
		"half pairs beyond":     {[]Field{Username}, "", `{"username":"` + strings.Repeat(`\ud83d`, 1366) + `"}`, 400},
		"the last one is short": {[]Field{Username}, formType, "username=" + strings.Repeat("x", 9000) + "&username=a", 200},
		"the last one is long":  {[]Field{Username}, formType, "username=a&username=" + strings.Repeat("x", 9000), 400},
		"declared":              {[]Field{long}, formType, "text=" + strings.Repeat("x", 9000), 200},
		"declared, escapes":     {[]Field{long}, "", `{"text":"` + strings.Repeat(`\u0061`, 9000) + `"}`, 200},
		"declared, beyond":      {[]Field{long}, formType, "text=" + strings.Repeat("x", 9001), 400},
		"the body of a field":   {[]Field{Username}, formType, "username=a&other=" + strings.Repeat("x", 29<<10), 413},
		"other fields":          {[]Field{Username}, formType, "username=a&other=" + strings.Repeat("x", 27<<10), 200},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(x.body))
		r.Header.Set("Content-Type", x.kind)
		_, err := Read(httptest.NewRecorder(), r, x.fields...)
		if code := status(err); code != x.code {
			t.Errorf("%s: %d %v, want %d", name, code, err, x.code)
		}
	}
	// Without a length, the body itself is limited further.
	for n, want := range map[int]int{27 << 10: 200, 33 << 10: 413} {
		r := httptest.NewRequest("POST", "/", strings.NewReader("username=a&password=b&other="+strings.Repeat("x", n)))
		r.Header.Set("Content-Type", formType)
		r.ContentLength = -1
		if _, err := Read(httptest.NewRecorder(), r, Username, Password); status(err) != want {
			t.Errorf("%d bytes of unknown length: %v", n, err)
		}
	}
}

// The values of fields are those that encoding/json finds.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"username":"a","password":"b"}`, ` { "username" : 1.5e3 , "\u0070assword":"\ud83d\ude00\n\/\\\"" } `, `{"username":{"a":["}"]},"password":null}`, `{}`, `[1]`, `{"username":"\ud83d","password":"\udc00\ud83d\u0061"}`,
		`{"username":true,"username":false}`, `{"a":{"username":"x"},"username":-0}`, `{"username":"a"}x`, `1 2`, `"a`, `{"username":[`, `{"password":"a,b:c}"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := fromJSON(body, []Field{Username, Password})
		if len(body) == 0 {
			return
		}
		var want map[string]any
		d := json.NewDecoder(bytes.NewReader(withoutMark(body)))
		d.UseNumber()
		valid := json.Valid(withoutMark(body)) && d.Decode(&want) == nil && want != nil
		if valid != (err == nil) {
			if valid && (valuesOf(body) > 256 || !bytes.Equal(bytes.ToValidUTF8(body, nil), body)) {
				return
			}
			t.Fatalf("%q: %v, %v", body, err, valid)
		}
		if err != nil {
			return
		}
		for _, name := range []string{"username", "password"} {
			w, there := want[name]
			g, found := got[name]
			switch w.(type) {
			case []any, map[string]any:
				w = nested{}
			}
			if _, long := g.(tooLong); there != found || w != g && !long {
				t.Fatalf("%q: %s is %#v, want %#v", body, name, g, w)
			}
		}
	})
}

func status(err error) int {
	var e *authn.Error
	if err == nil {
		return 200
	}
	if !errors.As(err, &e) {
		return 0
	}
	return e.Status
}
