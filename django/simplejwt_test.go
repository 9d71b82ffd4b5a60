package django

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/vestibule-auth/vestibule/jose"
)

// Package jose verifies the tokens that djangorestframework-simplejwt verifies, except those that
// it rejects deliberately. It rejects every token that simplejwt rejects for its signature,
// algorithm or format.
func TestSimpleJWTVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/simplejwt.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Keys map[string]json.RawMessage
		Rows []struct {
			Alg, Case, Token string
			Expect           map[string]map[string]struct {
				Status int
				JSON   json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	keyOf := func(alg string) *jose.Key {
		var k *jose.Key
		var err error
		if alg[:2] == "HS" {
			var secret string
			if err := json.Unmarshal(file.Keys["HS*"], &secret); err != nil {
				t.Fatal(err)
			}
			k, err = jose.NewSecret("django", jose.Algorithm(alg), []byte(secret))
		} else {
			var pair struct {
				Public string `json:"public_pem"`
			}
			if err := json.Unmarshal(file.Keys[alg], &pair); err != nil {
				t.Fatal(err)
			}
			k, err = jose.ParsePEM("django", jose.Algorithm(alg), []byte(pair.Public))
		}
		if err != nil {
			t.Fatal(alg, err)
		}
		return k
	}
	agreed, stricter := 0, map[string]bool{}
	for _, r := range file.Rows {
		ring, err := jose.NewKeySet(keyOf(r.Alg))
		if err != nil {
			t.Fatal(err)
		}
		verify, ok := r.Expect["modern"]["verify"]
		if !ok {
			continue
		}
		_, err = jose.Verify(context.Background(), r.Token, ring, "JWT")
		if err != nil && !errors.Is(err, jose.ErrInvalid) {
			t.Errorf("%s, %s: a fault: %v", r.Alg, r.Case, err)
		}
		switch accepted := verify.Status == 200; {
		case accepted && err == nil:
			agreed++
		case accepted:
			stricter[r.Case] = true
		case err == nil && signatureIsWrong[r.Case]:
			t.Errorf("%s, %s: accepted", r.Alg, r.Case)
		}
	}
	if agreed < 30 {
		t.Errorf("%d tokens verified by both", agreed)
	}
	for name := range stricter {
		if !onPurpose[name] {
			t.Errorf("%s: verified there, refused here", name)
		}
	}
}

// signatureIsWrong holds the cases that must never verify.
var signatureIsWrong = map[string]bool{
	"signature first char changed": true, "signature missing": true, "signature empty": true, "payload swapped (user_id 2)": true, "alg none": true,
	"signed with another key of the same family": true, "key confusion: HS256 signed with the public key PEM": true,
	"other algorithm of the family (HS256)": true, "other algorithm of the family (RS512)": true, "header: crit unknown": true,
	"header: alg lower-case": true, "header: no alg": true, "payload: JSON string": true,
}

// onPurpose holds tokens that PyJWT verifies and package jose rejects deliberately: programs could
// read them in different ways, and no issuer creates them.
var onPurpose = map[string]bool{
	"payload: duplicate user_id (last wins)": true, "payload: BOM": true, "shape: padded signature": true, "header: cty JWT": true,
}
