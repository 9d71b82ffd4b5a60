package syntax

import (
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for text, want := range map[string]bool{"read": true, "notes:read/write!": true, "": false, "a b": false, `a"b`: false, `a\b`: false, "a\n": false, "ä": false, "a\x7f": false} {
		if IsScope(text) != want {
			t.Errorf("scope %q: want %v", text, want)
		}
	}
	ok := strings.Repeat("aZ0-._~", 7)
	for text, want := range map[string]bool{ok[:43]: true, ok[:42]: false, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false, ok[:42] + "+": false, ok[:42] + " ": false} {
		if IsVerifier(text) != want {
			t.Errorf("verifier %q: want %v", text, want)
		}
	}
	digest := "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	for text, want := range map[string]bool{digest: true, digest + "=": false, digest[:42]: false, digest[:42] + "N": false, strings.Replace(digest, "-", "+", 1): false, "": false} {
		if IsSHA256(text) != want {
			t.Errorf("digest %q: want %v", text, want)
		}
	}
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "10.0.0.1": false, "localhost.example": false, "LOCALHOST": false, "": false} {
		if IsLoopback(host) != want {
			t.Errorf("host %q: want %v", host, want)
		}
	}
}

func TestNormalURI(t *testing.T) {
	for text, want := range map[string]string{
		"https://api.example":             "https://api.example/",
		"HTTPS://API.example:443/a":       "https://api.example/a",
		"http://api.example:80":           "http://api.example/",
		"https://api.example:80/":         "https://api.example:80/",
		"https://api.example/%7ea%2fb%c3": "https://api.example/~a%2Fb%C3",
		"https://api.example/A":           "https://api.example/A",
		"https://u@api.example/":          "", "https://api.example/?": "", "https://api.example/#": "", "/a": "", "urn:api": "", "https://": "", ":": "", "https://api.example/%": "",
	} {
		if got, ok := NormalURI(text); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, want %q", text, got, ok, want)
		}
	}
	for text, want := range map[string]string{"https://api.example:8443/a?b": "https://api.example:8443", "https://API.example": "https://API.example", "\x7f": ""} {
		if got := Origin(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
