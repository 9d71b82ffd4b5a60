package login

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// A page of another site cannot make a visitor's browser send passwords, so it cannot use up the
// visitor's limits.
func TestCrossSite(t *testing.T) {
	const form, json = "application/x-www-form-urlencoded", "application/json"
	for name, c := range map[string]struct {
		kind, site, origin, allows string
		want                       int
	}{
		"attack_198_form":            {form, "cross-site", "https://evil.example", "", 403},
		"attack_198_form, no Origin": {form, "cross-site", "", "", 403},
		"attack_198_no type":         {"", "cross-site", "https://evil.example", "", 403},
		"attack_198_text":            {"text/plain", "cross-site", "https://evil.example", "", 403},
		"attack_198_another allowed": {form, "cross-site", "https://evil.example", "https://spa.example", 403},
		"allowed":                    {form, "cross-site", "https://spa.example", "https://spa.example", 0},
		"all allowed":                {form, "cross-site", "https://spa.example", "*", 0},
		"JSON, which was asked for":  {json, "cross-site", "https://spa.example", "", 0},
		"JSON with a charset":        {json + "; charset=utf-8", "cross-site", "https://spa.example", "", 0},
		"the same site":              {form, "same-site", "https://www.app.example", "", 0},
		"the same origin":            {form, "same-origin", "https://app.example", "", 0},
		"by the user":                {form, "none", "", "", 0},
		"no browser":                 {form, "", "", "", 0},
		"attack_292_by Origin alone": {form, "", "https://evil.example", "", 403},
		"attack_292_null":            {form, "", "null", "", 403},
		"JSON by Origin alone":       {json, "", "https://evil.example", "", 0},
		"own Origin alone":           {form, "", "https://example.com", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			body := "username=alice&password=x"
			if c.kind != form {
				body = `{"username":"alice","password":"x"}`
			}
			r := httptest.NewRequest("POST", "/login", strings.NewReader(body))
			for header, value := range map[string]string{"Content-Type": c.kind, "Sec-Fetch-Site": c.site, "Origin": c.origin} {
				if value != "" {
					r.Header.Set(header, value)
				}
			}
			w := httptest.NewRecorder()
			if c.allows != "" {
				w.Header().Set("Access-Control-Allow-Origin", c.allows)
			}
			v, err := Read(w, r, Username, Password)
			var e *authn.Error
			switch errors.As(err, &e); {
			case c.want == 0 && (err != nil || v[0] != "alice"):
				t.Errorf("%v, %v", v, err)
			case c.want != 0 && (e == nil || e.Status != c.want):
				t.Errorf("%v, %v, want %d", v, err, c.want)
			}
		})
	}
}
