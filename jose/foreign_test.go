package jose

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// A JWK that names an issuer verifies only tokens of that issuer. "{tenantid}" stands for one
// segment of the path.
func TestKeyOfAnIssuer(t *testing.T) {
	k, err := Generate(ES256)
	must(t, err)
	const v2 = "https://login.example/{tenantid}/v2.0"
	for name, c := range map[string]struct {
		issuer any // of the key
		iss    string
		others []string
		ok     bool
	}{
		"no issuer":                     {nil, "https://a.example", nil, true},
		"the issuer":                    {"https://a.example", "https://a.example", nil, true},
		"another issuer":                {"https://a.example", "https://b.example", nil, false},
		"an issuer that begins alike":   {"https://a.example", "https://a.example/b", nil, false},
		"with a slash":                  {"https://a.example", "https://a.example/", nil, false},
		"a token without iss":           {"https://a.example", "", nil, false},
		"a tenant":                      {v2, "https://login.example/t1/v2.0", nil, true},
		"no tenant":                     {v2, "https://login.example//v2.0", nil, false},
		"two segments":                  {v2, "https://login.example/t1/x/v2.0", nil, false},
		"the template":                  {v2, v2, nil, false},
		"a tenant of another host":      {v2, "https://login.example.evil.example/t1/v2.0", nil, false},
		"another name of the issuer":    {v2, "https://sts.example/t1/", []string{"https://login.example/t1/v2.0"}, true},
		"another name that differs too": {"https://login.example/t2/v2.0", "https://sts.example/t1/", []string{"https://login.example/t1/v2.0"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			list := parsedWith(t, k, c.issuer)
			if len(list) != 1 {
				t.Fatalf("%d keys", len(list))
			}
			if want, _ := c.issuer.(string); list[0].Issuer() != want {
				t.Errorf("issuer %q", list[0].Issuer())
			}
			set, err := NewKeySet(list...)
			must(t, err)
			claims := "{}"
			if c.iss != "" {
				claims = `{"iss":"` + c.iss + `"}`
			}
			text, err := k.token("JWT", []byte(claims))
			must(t, err)
			decoded, err := Decode(text)
			must(t, err)
			err = decoded.VerifyAs(t.Context(), set, Expected{Types: []string{"JWT"}, KeyIssuers: c.others})
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrInvalid) {
				t.Error(err)
			}
			if c.others == nil && (decoded.Verify(t.Context(), set, "JWT") == nil) != c.ok {
				t.Error("Verify does not compare the issuer")
			}
		})
	}
	for name, issuer := range map[string]any{"a number": 7, "empty": "", "a list": []string{"https://a.example"}, "null": json.RawMessage("null")} {
		if list := parsedWith(t, k, issuer); len(list) != 0 {
			t.Errorf("%s: the key is used", name)
		}
	}
	if a, b := parsedWith(t, k, nil), parsedWith(t, k, v2); a[0].equal(b[0]) {
		t.Error("the issuer of a key changed, and the key counts as the same")
	}
}

// parsedWith returns the keys of a set with k and that issuer.
func parsedWith(t *testing.T, k *Key, issuer any) []*Key {
	t.Helper()
	var set struct{ Keys []map[string]any }
	must(t, json.Unmarshal([]byte(jwksOf(t, k)), &set))
	if issuer != nil {
		set.Keys[0]["issuer"] = issuer
	}
	text, err := json.Marshal(map[string]any{"keys": set.Keys})
	must(t, err)
	list, err := ParseJWKS(text)
	must(t, err)
	return list
}

// DecodePadded accepts complete padding, and the signature covers it. Decode accepts none.
func TestPaddedToken(t *testing.T) {
	k, err := Generate(ES256)
	must(t, err)
	set, err := NewKeySet(k)
	must(t, err)
	enc := base64.URLEncoding
	head := enc.EncodeToString([]byte(`{"alg":"ES256","kid":"` + k.ID() + `","signer":"arn:1","n":7}`))
	body := enc.EncodeToString([]byte(`{"sub":"u1"}`))
	if !strings.HasSuffix(head, "=") {
		t.Fatal("the header of this test needs no padding; change it")
	}
	sig, err := k.sign(head + "." + body)
	must(t, err)
	padded := head + "." + body + "." + enc.EncodeToString(sig)
	decoded, err := DecodePadded(padded)
	must(t, err)
	must(t, decoded.VerifyAs(t.Context(), set, Expected{Untyped: true}))
	if signer, ok := decoded.Param("signer"); !ok || signer != "arn:1" {
		t.Errorf("%q, %t", signer, ok)
	}
	for _, name := range []string{"n", "absent", "SIGNER"} {
		if _, ok := decoded.Param(name); ok {
			t.Errorf("%s is a text", name)
		}
	}
	if _, err := Decode(padded); !errors.Is(err, ErrInvalid) {
		t.Errorf("Decode: %v", err)
	}
	bare, err := DecodePadded(strings.TrimRight(head, "=") + "." + body + "." + enc.EncodeToString(sig))
	must(t, err)
	if err := bare.VerifyAs(t.Context(), set, Expected{Untyped: true}); !errors.Is(err, ErrInvalid) {
		t.Errorf("the signature does not cover the padding: %v", err)
	}
	for name, text := range map[string]string{
		"one = of two": strings.TrimSuffix(padded, "="), "three =": padded + "=", "= alone": "=." + body + ".AA==", "= in the middle": "e=" + padded,
	} {
		if _, err := DecodePadded(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// CheckTimes reads only the times.
func TestCheckTimes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	checks := Checks{Leeway: 30 * time.Second, Clock: func() time.Time { return now }}
	for text, ok := range map[string]bool{
		`{"exp":1800000001}`: true, `{"exp":1799999971}`: true, `{"exp":1799999970}`: false, `{}`: false, `{"exp":"1800000001"}`: false, `{"exp":null}`: false,
		`{"exp":1800000100,"nbf":1800000030}`: true, `{"exp":1800000100,"nbf":1800000031}`: false, `{"exp":1800000100,"nbf":true}`: false,
		`{"exp":1800000100,"iat":1800000030}`: true, `{"exp":1800000100,"iat":1800000031}`: false, `{"exp":1800000001,"iat":1800000002}`: false,
		`{"exp":1800000100,"sub":"","iss":7,"aud":{}}`: true,
	} {
		c, err := ParseClaims([]byte(text))
		must(t, err)
		if _, err := checks.CheckTimes(c); (err == nil) != ok || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c, err := ParseClaims([]byte(`{"exp":1800000001}`))
	must(t, err)
	if _, err := (Checks{Leeway: time.Hour, Clock: checks.Clock}).CheckTimes(c); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("a leeway that is too long: %v", err)
	}
}
