package csrf_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/csrf"
)

func TestIsForeignForm(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	cross := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
	with := func(more ...string) []string { return append(append([]string{}, cross...), more...) }
	for name, c := range map[string]struct {
		method, kind, host, allows string
		headers                    []string
		want                       bool
	}{
		"attack_292_form":                    {"POST", form, "app.example", "", cross, true},
		"attack_292_multipart":               {"POST", "multipart/form-data; boundary=x", "app.example", "", cross, true},
		"attack_292_text":                    {"POST", "text/plain", "app.example", "", cross, true},
		"attack_292_no type":                 {"POST", "", "app.example", "", cross, true},
		"attack_292_broken type":             {"POST", ";", "app.example", "", cross, true},
		"attack_292_Basic of the browser":    {"POST", form, "app.example", "", with("Authorization", "bAsic eDp5"), true},
		"attack_292_Negotiate":               {"POST", form, "app.example", "", with("Authorization", "Negotiate"), true},
		"attack_292_two values":              {"POST", form, "app.example", "", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, true},
		"attack_292_Origin":                  {"POST", form, "app.example", "", []string{"Origin", "https://evil.example"}, true},
		"attack_292_Origin, port":            {"POST", form, "app.example:8080", "", []string{"Origin", "http://evil.example:8080"}, true},
		"attack_292_Origin is an address":    {"POST", form, "192.0.2.1", "", []string{"Origin", "http://198.51.2.1"}, true},
		"attack_292_null":                    {"POST", form, "app.example", "", []string{"Origin", "null"}, true},
		"attack_292_two Origins":             {"POST", form, "app.example", "", []string{"Origin", "https://app.example", "Origin", "https://app.example"}, true},
		"attack_292_another one allowed":     {"POST", form, "app.example", "https://spa.example", cross, true},
		"allowed":                            {"POST", form, "app.example", "https://evil.example", cross, false},
		"all allowed":                        {"POST", form, "app.example", "*", cross, false},
		"GET":                                {"GET", "", "app.example", "", cross, false},
		"JSON":                               {"POST", "application/json", "app.example", "", cross, false},
		"Bearer":                             {"POST", form, "app.example", "", with("Authorization", "Bearer x"), false},
		"DPoP":                               {"POST", form, "app.example", "", with("Dpop", "x"), false},
		"same site":                          {"POST", form, "app.example", "", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://www.example"}, false},
		"same origin, through a proxy":       {"POST", form, "10.0.0.1:8080", "", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://app.example"}, false},
		"Origin of the host":                 {"POST", form, "app.example", "", []string{"Origin", "https://APP.example"}, false},
		"Origin of another port":             {"POST", form, "127.0.0.1:8080", "", []string{"Origin", "http://127.0.0.1:3000"}, false},
		"Origin of a subdomain":              {"POST", form, "auth.app.example", "", []string{"Origin", "https://www.app.example"}, false},
		"Origin of the loopback, by IPv6":    {"POST", form, "[::1]:8080", "", []string{"Origin", "http://[::1]:8080"}, false},
		"Origin of a host without a dot":     {"POST", form, "localhost:8080", "", []string{"Origin", "http://localhost:8080"}, false},
		"no browser":                         {"POST", form, "app.example", "", nil, false},
		"attack_292_two hosts without a dot": {"POST", form, "localhost:8080", "", []string{"Origin", "http://intranet"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "/", strings.NewReader("x=y"))
			r.Host = c.host
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Add(c.headers[i], c.headers[i+1])
			}
			answer := http.Header{}
			if c.allows != "" {
				answer.Set("Access-Control-Allow-Origin", c.allows)
			}
			if got := csrf.IsForeignForm(answer, r); got != c.want {
				t.Errorf("%t", got)
			}
		})
	}
}
