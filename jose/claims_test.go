package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// claim returns valid claims with one changed; an empty value removes it.
func claim(name, value string) string {
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(goodClaims), &m); err != nil {
		panic(err)
	}
	delete(m, name)
	if value == "" {
		text, _ := json.Marshal(m)
		return string(text)
	}
	text, _ := json.Marshal(m)
	return string(text[:len(text)-1]) + "," + fmt.Sprintf("%q:%s}", name, value)
}

func check(payload string) error {
	c, err := ParseClaims([]byte(payload))
	if err == nil {
		_, err = checks().Check(c)
	}
	return err
}

func TestClaimAttacks(t *testing.T) {
	must(t, check(goodClaims))
	each := func(t *testing.T, name string, good, bad []string) {
		t.Helper()
		for _, v := range good {
			if err := check(claim(name, v)); err != nil {
				t.Errorf("%s %s: %v", name, v, err)
			}
		}
		for _, v := range bad {
			if err := check(claim(name, v)); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s %.60s: %v", name, v, err)
			}
		}
	}
	t.Run("attack_074_exp", func(t *testing.T) {
		each(t, "exp", []string{"1.8e9", "1800000000.999", "1800000001", "18e8"},
			[]string{"", "null", `"1800000300"`, "-1", "0", "9.3e18", "1e400", `"NaN"`, "true", "[1800000300]", "-0", "99999999999999999999"})
	})
	t.Run("attack_075_far_future", func(t *testing.T) {
		each(t, "exp", []string{"253402300799"}, []string{"253402300800", "9223372036854775807", "9223372036854775808", "9223371974719179007", "18446744073709551615"})
	})
	t.Run("attack_076_nbf_iat", func(t *testing.T) {
		each(t, "nbf", []string{"", "1800000060", "1700000000"}, []string{"1800000061", `"1700000000"`, "null", "-5"})
		for exp, want := range map[string]bool{"1800000020": true, "1800000019": false} {
			payload := strings.Replace(claim("iat", "1800000020"), "1800000300", exp, 1)
			if err := check(payload); err == nil != want || !want && !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", payload, err)
			}
		}
		each(t, "iat", []string{"", "1800000060"}, []string{"1800000061", "1800000301", `"1"`, "9999999999"})
	})
	t.Run("expiry_to_the_second", func(t *testing.T) {
		must(t, check(strings.Replace(claim("iat", ""), "1800000300", "1799999941", 1)))
		if err := check(strings.Replace(claim("iat", ""), "1800000300", "1799999940", 1)); !errors.Is(err, ErrExpired) {
			t.Errorf("at exp + leeway: %v", err)
		}
	})
	t.Run("attack_078_aud", func(t *testing.T) {
		each(t, "aud", []string{`"me"`, `["x","me"]`, ` [ "me" ] `}, []string{"", "[]", "null", `""`, `"a b"`, `{"a":1}`, `[["me"]]`, `"ME"`, `"me/"`, `["x"]`, `[1,"me"]`, `["me",null]`, `"me me"`})
	})
	t.Run("attack_079_iss", func(t *testing.T) {
		each(t, "iss", []string{`"https:\/\/issuer.example"`}, []string{"", `"https://issuer.example/"`, `"HTTPS://issuer.example"`, `"https://issuer%2eexample"`, `"https://issuer.ex\u0430mple"`, "null", `["https://issuer.example"]`})
	})
	t.Run("attack_080_sub", func(t *testing.T) {
		each(t, "sub", []string{`"a:b"`, `"юлия"`}, []string{"", `""`, "5", "null", `"` + strings.Repeat("x", 1024) + `"`, `"a\u0000b"`, `"a\nb"`})
	})
	t.Run("attack_082_names", func(t *testing.T) {
		for _, extra := range []string{`"sub":"admin"`, `"Sub":"admin"`, `"SUB":"x"`, `"\u0073ub":"admin"`, `"EXP":9999999999`, `"\u017fub":"x"`, `"x":{"y":[{"a":1,"a":1}]}`} {
			if err := check(goodClaims[:len(goodClaims)-1] + "," + extra + "}"); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", extra, err)
			}
		}
	})
	t.Run("attack_086_jti_missing", func(t *testing.T) { each(t, "jti", nil, []string{"", "null", `""`, "5"}) })
	t.Run("attack_087_jti", func(t *testing.T) {
		each(t, "jti", []string{`"*"`, `"a b"`, `"KEYS *"`}, []string{`"` + strings.Repeat("j", 15<<10) + `"`, `"a\nb"`, `"a\u0000"`})
	})
}

func TestValidate(t *testing.T) {
	must(t, checks().Validate())
	for what, change := range map[string]func(*Checks){
		"issuer": func(c *Checks) { c.Issuer = "" }, "audience": func(c *Checks) { c.Audience = "" }, "clock": func(c *Checks) { c.Clock = nil },
		"leeway": func(c *Checks) { c.Leeway = time.Hour }, "below 0": func(c *Checks) { c.Leeway = -1 },
	} {
		c := checks()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func TestAccessors(t *testing.T) {
	c, err := ParseClaims([]byte(` { "a" : "x\u00e9\ud83d\ude00\n" , "n":1.5, "l":[1,"b"], "o":{"k":null}, "t":true } `))
	must(t, err)
	if s, ok := c.Text("a"); !ok || s != "xé😀\n" {
		t.Errorf("%q", s)
	}
	if _, ok := c.Text("n"); ok {
		t.Error("a number is a text")
	}
	if raw, ok := c.Get("o"); !ok || string(raw) != `{"k":null}` {
		t.Errorf("%s", raw)
	}
	if _, ok := c.Get("none"); ok {
		t.Error("there is none")
	}
	var n float64
	if err := c.Decode("n", &n); err != nil || n != 1.5 {
		t.Errorf("%v, %v", n, err)
	}
	if err := c.Decode("a", &n); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if err := c.Decode("none", &n); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// Duplicate names are detected within each object, whatever was parsed before and inside it.
func TestNestedNames(t *testing.T) {
	for text, want := range map[string]bool{
		`{"p":{"z":1},"x":{"a":1,"b":{"c":1},"a":2}}`:      false,
		`{"p":{"z":1},"x":{"a":1,"b":{"c":1},"c":2}}`:      true,
		`{"x":{"a":1,"b":{"c":{"c":1},"c":1}}}`:            false,
		`{"x":{"a":{"a":{"a":1},"b":1},"b":1},"b":1}`:      true,
		`{"x":[{"a":1},{"a":1},{"a":[{"a":1}],"b":1}]}`:    true,
		`{"x":[{"a":1},{"a":1,"b":[{"a":1}],"\u0061":1}]}`: false,
		`{"a":{"a":1},"b":{},"a":1}`:                       false,
	} {
		if _, err := scanObject([]byte(text), maxMembers); err == nil != want {
			t.Errorf("%s: %v, want taken %t", text, err, want)
		}
	}
}

// Text that programs read in different ways is rejected: text that is not UTF-8, and halves of
// surrogate pairs.
func TestOtherText(t *testing.T) {
	for text, want := range map[string]bool{
		"{\"x\":\"\xff\"}":             false,
		"{\"\xc0\xaf\":1}":             false,
		"{\"x\":\"\xed\xa0\x80\"}":     false,
		"{\"x\":\"\u00e9\U0001f600\"}": true,
		`{"x":"\ud83d\ude00"}`:         true,
		`{"x":"\uD83D\uDE00"}`:         true,
		`{"x":"\ud83d"}`:               false,
		`{"x":"\ud83d\ud83d"}`:         false,
		`{"x":"\ud83dxx\ude00"}`:       false,
		`{"x":"\ud83d\n"}`:             false,
		`{"x":"\ude00"}`:               false,
		`{"x":"\ude00\ud83d"}`:         false,
		`{"\ud83d\u0041":1}`:           false,
		`{"x":"\ud83d\u00`:             false,
		`{"x":"\ufffd"}`:               true,
	} {
		if _, err := scanObject([]byte(text), maxMembers); err == nil != want || !want && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, want taken %t", text, err, want)
		}
	}
}

// repeats reports whether some object in data has a duplicate name, according to the tokens of
// encoding/json.
func repeats(data []byte) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	var names []map[string]bool // nil: a list
	isName := false
	for {
		tok, err := d.Token()
		if err != nil {
			return false
		}
		switch tok {
		case json.Delim('{'):
			names, isName = append(names, map[string]bool{}), true
			continue
		case json.Delim('['):
			names, isName = append(names, nil), false
			continue
		case json.Delim('}'), json.Delim(']'):
			names = names[:len(names)-1]
		default:
			if isName {
				if name := tok.(string); names[len(names)-1][name] {
					return true
				} else {
					names[len(names)-1][name] = true
				}
				isName = false
				continue
			}
		}
		isName = len(names) > 0 && names[len(names)-1] != nil
	}
}

// Every text that the scanner accepts, encoding/json accepts too, with the same values.
func FuzzScan(f *testing.F) {
	for _, s := range []string{goodClaims, `{"a":[1,2,{"b":"\u00e9\ud83d\ude00"}],"c":-0.5e+3}`, `{"a":1,"a":2}`, `{"\ud800":1}`, `{}`, `{"a":01}`, ` {"a" : null } `, `{"p":{"z":1},"x":{"a":1,"b":{"c":1},"a":2}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := scanObject(data, maxMembers)
		if err != nil {
			if strings.Contains(err.Error(), "twice") && json.Valid(data) && !repeats(data) {
				t.Fatalf("%q: no name comes twice", data)
			}
			return
		}
		if repeats(data) {
			t.Fatalf("%q: a name that comes twice is taken", data)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if len(want) != len(members) {
			t.Fatalf("%q: %d members, want %d", data, len(members), len(want))
		}
		for _, m := range members {
			if string(want[string(m.name)]) != string(m.value) {
				t.Fatalf("%q: %q is %q, want %q", data, m.name, m.value, want[string(m.name)])
			}
			if s, ok := textOf(m.value); ok {
				var other string
				if err := json.Unmarshal(m.value, &other); err != nil || s != other {
					t.Fatalf("%q: %q, want %q, %v", m.value, s, other, err)
				}
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(b64(`{"alg":"HS256","typ":"at+jwt"}`) + "." + b64(goodClaims) + ".AAAA")
	f.Add("eyJhbGciOiJub25lIn0.e30.e30")
	f.Fuzz(func(t *testing.T, token string) {
		tok, err := Decode(token)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if _, err := tok.Claims.Registered(); err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
	})
}

func TestTexts(t *testing.T) {
	c, err := ParseClaims([]byte(`{"some":["a","b"],"none":[],"one":"a","mixed":["a",1]}`))
	must(t, err)
	if got, ok := c.Texts("some"); !ok || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("some: %q, %v", got, ok)
	}
	if got, ok := c.Texts("none"); !ok || len(got) != 0 {
		t.Errorf("none: %q, %v", got, ok)
	}
	for _, name := range []string{"one", "mixed", "absent"} {
		if got, ok := c.Texts(name); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestSignRefusesWhatNobodyTakes(t *testing.T) {
	k, err := Generate(HS256)
	must(t, err)
	ring, err := NewKeySet(k)
	must(t, err)
	for _, tc := range []struct{ typ, claims string }{
		{"at+jwt", `{"sub":"a","sub":"b"}`}, {"at+jwt", `[]`}, {"at+jwt", ``}, {"at jwt", `{}`}, {"\u212a", `{}`},
	} {
		if got, err := ring.Sign(t.Context(), tc.typ, []byte(tc.claims)); err == nil {
			t.Errorf("%q %q: signed as %s", tc.typ, tc.claims, got)
		}
	}
}
