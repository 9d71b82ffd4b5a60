package csrf

import (
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDjangoPairs(t *testing.T) {
	data, err := os.ReadFile("testdata/django_pairs.json")
	must(t, err)
	var file struct {
		Pairs []struct {
			Profile, Secret string
			Form            string `json:"request_form"`
			Token           string `json:"request_token"`
			Verify          bool
		}
	}
	must(t, json.Unmarshal(data, &file))
	if len(file.Pairs) != 32 {
		t.Fatalf("%d pairs", len(file.Pairs))
	}
	for i, p := range file.Pairs {
		if err := Match(p.Secret, p.Token); (err == nil) != p.Verify {
			t.Errorf("%s, %s: %v, Django says %t", p.Profile, p.Form, err, p.Verify)
		}
		if other := file.Pairs[(i+1)%len(file.Pairs)].Secret; other != p.Secret && Match(other, p.Token) == nil {
			t.Errorf("%d: matches another secret", i)
		}
	}
}

func TestMask(t *testing.T) {
	secret := SecretOf("a session")
	if secret == SecretOf("another") || secret != SecretOf("a session") || len(secret) != SecretLen {
		t.Errorf("secret %q", secret)
	}
	seen := map[string]bool{}
	for range 100 {
		token := Mask(secret)
		if len(token) != TokenLen || seen[token] || strings.Contains(token, secret) || Match(secret, token) != nil || Match(secret, secret) != nil {
			t.Fatalf("token %q", token)
		}
		seen[token] = true
	}
	token := Mask(secret)
	for i := range token {
		changed := []byte(token)
		changed[i] = letters[(strings.IndexByte(letters, token[i])+1)%len(letters)]
		if Match(secret, string(changed)) == nil {
			t.Errorf("character %d may be another", i)
		}
	}
	for sent, want := range map[string]error{
		"": ErrMissing, "a": ErrLength, token[:63]: ErrLength, token + "a": ErrLength, token[:63] + "-": ErrCharacters,
		strings.Repeat("é", 16): ErrCharacters, strings.Repeat("a", 32): ErrIncorrect, strings.Repeat("a", 64): ErrIncorrect,
	} {
		if err := Match(secret, sent); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", sent, err, want)
		}
	}
}

func TestTokenInForm(t *testing.T) {
	secret := SecretOf("s")
	token := Mask(secret)
	for name, tc := range map[string]struct {
		kind, body, header string
		ok                 bool
	}{
		"field":           {"application/x-www-form-urlencoded; charset=utf-8", "a=1&" + Field + "=" + token, "", true},
		"header":          {"application/x-www-form-urlencoded", "a=1", token, true},
		"multipart":       {"multipart/form-data; boundary=x", "--x--", token, true},
		"field first":     {"application/x-www-form-urlencoded", Field + "=bad", token, false},
		"none":            {"application/x-www-form-urlencoded", "a=1", "", false},
		"no form":         {"application/x-www-form-urlencoded", "%zz", "", false},
		"beyond the size": {"application/x-www-form-urlencoded", strings.Repeat("a", maxForm) + "&" + Field + "=" + token, "", false},
		"bad type":        {"a b", "x", "", false},
		"json":            {"application/json", "{}", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.kind)
			if tc.header != "" {
				r.Header.Set(Header, tc.header)
			}
			if err := CheckToken(r, secret); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != tc.body {
				t.Errorf("the handler reads %d bytes of %d, %v", len(body), len(tc.body), err)
			}
		})
	}
	parsed := httptest.NewRequest("POST", "/", strings.NewReader(Field+"="+token))
	parsed.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	must(t, parsed.ParseForm())
	must(t, CheckToken(parsed, secret))
}

func FuzzMatch(f *testing.F) {
	secret := SecretOf("s")
	f.Add(Mask(secret))
	f.Add(secret)
	f.Add("")
	f.Fuzz(func(t *testing.T, sent string) {
		if Match(secret, sent) == nil && sent != secret && (len(sent) != TokenLen || Match(secret, sent) != nil) {
			t.Errorf("%q matches", sent)
		}
	})
}
