package jose

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vectors returns a file of the security vectors. If it is missing, the test fails in CI and is
// skipped with one line elsewhere.
func vectors(t testing.TB, parts ...string) []byte {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	text, err := os.ReadFile(filepath.Join(append([]string{dir, "security"}, parts...)...))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("%s did not run: set VESTIBULE_VECTORS to the folder that holds security", t.Name())
	}
	return text
}

// keyOf returns the key of a JWK in the format of the vectors.
func keyOf(raw json.RawMessage) (*Key, error) {
	var j struct {
		jwk
		K string `json:"k"`
	}
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, err
	}
	if j.Use != "" && j.Use != "sig" {
		return nil, errJWK
	}
	if j.Kty == "oct" {
		b, err := base64.RawURLEncoding.DecodeString(j.K)
		if err != nil {
			return nil, err
		}
		return NewSecret(j.Kid, Algorithm(j.Alg), b)
	}
	public, err := j.public(known)
	if err != nil {
		return nil, err
	}
	return NewPublic(j.Kid, Algorithm(j.Alg), public)
}

// accepts reports whether a compact JWS verifies, whatever its payload is.
func accepts(token string, r *KeySet) bool {
	t, _, err := parse(token, false, nil)
	return err == nil && t.verify(context.Background(), r, nil) == nil
}

type wycheproofFile struct {
	TestGroups []struct {
		Comment         string
		Private, Public json.RawMessage
		Tests           []struct {
			TcID            int
			Comment, Result string
			JWS             any
		}
	}
}

// Project Wycheproof's JWS and JWK vectors. The exceptions are those in the README of the vectors:
// wrong labels.
func TestWycheproof(t *testing.T) {
	waived := map[int]string{
		367: "its bytes equal a valid one's", 370: "its bytes equal a valid one's",
		372: "a ? inside the base64url", 373: "a ? inside the base64url",
		346: "the key is for PS256, the header says PS384", 350: "the key is for PS256, the header says PS384",
		347: "the key's alg is misspelt", 351: "the key's alg is misspelt",
	}
	for _, name := range []string{"json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"} {
		var file wycheproofFile
		must(t, json.Unmarshal(vectors(t, "wycheproof", name), &file))
		ran, valid := 0, 0
		for _, g := range file.TestGroups {
			raw := g.Public
			if raw == nil {
				raw = g.Private
			}
			var set struct{ Keys []json.RawMessage }
			if json.Unmarshal(raw, &set) != nil || set.Keys == nil {
				set.Keys = []json.RawMessage{raw}
			}
			var list []*Key
			var refused error
			for _, k := range set.Keys {
				key, err := keyOf(k)
				if err != nil {
					refused = err
					continue
				}
				list = append(list, key)
			}
			for _, c := range g.Tests {
				token, isText := c.JWS.(string)
				if c.JWS == nil {
					continue // a JWE
				}
				got := false
				if r, err := NewKeySet(list...); err == nil && isText {
					got = accepts(token, r)
				}
				ran++
				if got {
					valid++
				}
				if want := c.Result == "valid"; got != want && waived[c.TcID] == "" {
					t.Errorf("%s %d (%s, %s): accepted %t, want %t; key: %v", name, c.TcID, g.Comment, c.Comment, got, want, refused)
				}
			}
		}
		if ran < 10 || valid == 0 {
			t.Errorf("%s: %d ran, %d were accepted", name, ran, valid)
		}
		t.Logf("%s: %d cases", name, ran)
	}
}

// The JSON parsing vectors: y_ must be accepted, n_ rejected, i_ may be either. Each text is parsed
// as the value of an object's member.
func TestJSONParsing(t *testing.T) {
	vectors(t, "json-parsing", "LICENSE")
	dir := os.Getenv("VESTIBULE_VECTORS")
	files, err := filepath.Glob(filepath.Join(dir, "security", "json-parsing", "*.json"))
	must(t, err)
	ran := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		must(t, err)
		name := filepath.Base(f)
		_, err = scanObject([]byte(`{"x":`+string(text)+`}`), maxMembers)
		ran++
		switch name[0] {
		case 'y':
			// RFC 8259 allows a duplicate name; this package rejects it deliberately.
			if err != nil && !strings.Contains(name, "duplicated_key") {
				t.Errorf("%s is refused: %v", name, err)
			}
		case 'n':
			if err == nil {
				t.Errorf("%s is accepted", name)
			}
		}
		_, _ = Decode(base64.RawURLEncoding.EncodeToString(text) + ".e30.e30")
		_, _ = Decode("eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(text) + ".e30")
	}
	if ran < 100 {
		t.Errorf("%d files", ran)
	}
}

// RFC 7520 section 4.3 (ES512).
func TestCookbook(t *testing.T) {
	var es512 struct {
		Input struct {
			Key json.RawMessage
			Alg string
		}
		Output struct{ Compact string }
	}
	must(t, json.Unmarshal(vectors(t, "rfc7520-cookbook", "jws", "4_3.ecdsa_signature.json"), &es512))
	var fields map[string]any
	must(t, json.Unmarshal(es512.Input.Key, &fields))
	fields["alg"] = es512.Input.Alg
	raw, err := json.Marshal(fields)
	must(t, err)
	k, err := keyOf(raw)
	must(t, err)
	r, err := NewKeySet(k)
	must(t, err)
	if !accepts(es512.Output.Compact, r) {
		t.Error("RFC 7520 section 4.3 is refused")
	}
	if accepts(es512.Output.Compact[:len(es512.Output.Compact)-4]+"AAAA", r) {
		t.Error("a changed signature is accepted")
	}
}
