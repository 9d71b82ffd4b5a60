package jose

import (
	"context"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var now = time.Unix(1_800_000_000, 0)

func checks() Checks {
	return Checks{Issuer: "https://issuer.example", Audience: "me", Leeway: time.Minute, Clock: func() time.Time { return now }}
}

const goodClaims = `{"iss":"https://issuer.example","aud":"me","sub":"4711","jti":"id","iat":1800000000,"exp":1800000300}`

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// hs returns a token with any text as header and payload, signed with HS256.
func hs(k *Key, header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(k.secret.sum(nil, signed))
}

func hs256(t testing.TB) (*Key, *KeySet) {
	t.Helper()
	k, err := NewSecret("k", HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	r, err := NewKeySet(k)
	must(t, err)
	return k, r
}

func taken(token string, src KeySource) error {
	t, err := Verify(context.Background(), token, src, "at+jwt")
	if err == nil {
		_, err = checks().Check(t.Claims)
	}
	return err
}

// refused fails unless every token is rejected with an ErrInvalid.
func refused(t *testing.T, src KeySource, tokens ...string) {
	t.Helper()
	for _, token := range tokens {
		if err := taken(token, src); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.120q: got %v", token, err)
		} else if len(token) > 10 && strings.Contains(err.Error(), token) {
			t.Errorf("an error quotes the token")
		}
	}
}

func TestHeaderAttacks(t *testing.T) {
	k, r := hs256(t)
	header := func(members string) string { return `{` + members + `,"kid":"k","typ":"at+jwt"}` }
	good := hs(k, header(`"alg":"HS256"`), goodClaims)
	must(t, taken(good, r))
	headers := func(t *testing.T, list ...string) {
		t.Helper()
		for _, h := range list {
			refused(t, r, hs(k, h, goodClaims))
		}
	}
	t.Run("attack_052_alg_none", func(t *testing.T) {
		for _, alg := range []string{`"none"`, `"None"`, `"nOnE"`, `"NONE"`, `""`, `null`, `5`, `["RS256"]`, `{"a":1}`, `"hs256"`, `"HS256 "`} {
			headers(t, header(`"alg":`+alg))
		}
		headers(t, `{"kid":"k","typ":"at+jwt"}`)
	})
	t.Run("attack_053_none_with_signatures", func(t *testing.T) {
		none := b64(header(`"alg":"none"`)) + "." + b64(goodClaims) + "."
		refused(t, r, none, none+"anVuaw", none+good[strings.LastIndexByte(good, '.')+1:])
	})
	t.Run("attack_054_public_key_as_secret", func(t *testing.T) {
		rs, err := Generate(RS256)
		must(t, err)
		ring, err := NewKeySet(rs)
		must(t, err)
		public := rs.public.(*rsa.PublicKey)
		pkix, err := x509.MarshalPKIXPublicKey(public)
		must(t, err)
		pkcs1 := x509.MarshalPKCS1PublicKey(public)
		j, err := newJWK(public)
		must(t, err)
		jwkText, err := json.Marshal(j)
		must(t, err)
		asPEM := func(kind string, der []byte) []byte {
			return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		}
		a, b := asPEM("PUBLIC KEY", pkix), asPEM("RSA PUBLIC KEY", pkcs1)
		for _, secret := range [][]byte{pkix, pkcs1, jwkText, a, b, a[:len(a)-1], b[:len(b)-1], public.N.Bytes()} {
			signed := b64(fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"at+jwt"}`, rs.id)) + "." + b64(goodClaims)
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(signed))
			refused(t, ring, signed+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
		}
	})
	t.Run("attack_055_every_algorithm_against_every_key", func(t *testing.T) {
		all := []Algorithm{HS256, HS384, HS512, RS256, RS512, PS256, PS512, ES256, ES384, ES512, EdDSA}
		rings := make(map[Algorithm]*KeySet)
		for _, alg := range all {
			made, err := Generate(alg)
			must(t, err)
			rings[alg], err = NewKeySet(made)
			must(t, err)
		}
		for _, signer := range all {
			token, err := rings[signer].Sign(t.Context(), "at+jwt", []byte(goodClaims))
			must(t, err)
			must(t, taken(token, rings[signer]))
			for _, other := range all {
				if other == signer {
					continue
				}
				refused(t, rings[other], token)
				// The header names the algorithm of the key; the signature uses another.
				parts := strings.Split(token, ".")
				k := rings[other].keys[0]
				lie := b64(fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, k.alg, k.id)) + "." + parts[1] + "." + parts[2]
				refused(t, rings[other], lie)
			}
		}
		headers(t, header(`"alg":"ES256K"`))
		p384, err := Generate(ES384)
		must(t, err)
		if _, err := NewPublic("x", ES256, p384.public); err == nil {
			t.Error("a P-384 key serves for ES256")
		}
		if _, err := NewPublic("x", HS256, p384.public); err == nil {
			t.Error("a public key serves for HS256")
		}
	})
	t.Run("attack_056_kid", func(t *testing.T) {
		for _, kid := range []string{`"../../dev/null"`, `"' UNION SELECT 'k"`, `"k\u0000"`, `5`, `null`, `["k"]`, `""`, `"K"`, `"` + strings.Repeat("k", 256) + `"`, `"` + strings.Repeat("k", 1<<20) + `"`} {
			headers(t, `{"alg":"HS256","typ":"at+jwt","kid":`+kid+`}`)
		}
		no := `{"alg":"HS256","typ":"at+jwt"}`
		must(t, taken(hs(k, no, goodClaims), r)) // one key of that algorithm
		other, err := Generate(HS256)
		must(t, err)
		two, err := NewKeySet(k, other)
		must(t, err)
		refused(t, two, hs(k, no, goodClaims))
		es, err := Generate(ES256)
		must(t, err)
		mixed, err := NewKeySet(es, k)
		must(t, err)
		must(t, taken(hs(k, no, goodClaims), mixed))
	})
	t.Run("attack_057_one_kid_of_two_issuers", func(t *testing.T) {
		b, err := NewSecret("k", HS256, []byte("another secret of thirty-two byte"))
		must(t, err)
		ring, err := NewKeySet(b)
		must(t, err)
		refused(t, r, hs(b, header(`"alg":"HS256"`), goodClaims))
		refused(t, ring, good)
	})
	t.Run("attack_058_no_key_is_fetched", func(t *testing.T) {
		var seen atomic.Int64
		canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
		defer canary.Close()
		for _, name := range []string{"jku", "x5u"} {
			for _, address := range []string{canary.URL, "file:///etc/passwd", "http://169.254.169.254/latest"} {
				headers(t, header(fmt.Sprintf(`"alg":"HS256",%q:%q`, name, address)))
			}
		}
		if seen.Load() != 0 {
			t.Errorf("%d connections", seen.Load())
		}
	})
	t.Run("attack_059_embedded_keys", func(t *testing.T) {
		mine, err := Generate(ES256)
		must(t, err)
		j, err := newJWK(mine.public)
		must(t, err)
		text, err := json.Marshal(j)
		must(t, err)
		for _, extra := range []string{`"jwk":` + string(text), `"x5c":["AAAA"]`} {
			signed := b64(header(`"alg":"ES256",`+extra)) + "." + b64(goodClaims)
			sig, err := mine.sign(signed)
			must(t, err)
			token := signed + "." + base64.RawURLEncoding.EncodeToString(sig)
			refused(t, r, token)
			own, err := NewKeySet(mine)
			must(t, err)
			refused(t, own, token)
		}
	})
	t.Run("attack_060_crit", func(t *testing.T) {
		for _, c := range []string{`"crit":["exp"],"exp":1`, `"crit":[]`, `"crit":["b64"],"b64":false`, `"crit":[1]`, `"crit":["a"],"crit":["b"]`, `"crit":["nowhere"]`, `"b64":false`} {
			headers(t, header(`"alg":"HS256",`+c))
		}
	})
	t.Run("attack_061_typ", func(t *testing.T) {
		headers(t, `{"alg":"HS256","kid":"k"}`)
		for typ, want := range map[string]bool{`"JWT"`: false, `""`: false, `null`: false, `1`: false, `"AT+JWT"`: true, `"application/at+jwt"`: true, `"APPLICATION/At+jwt"`: true, `"text/at+jwt"`: false, `"at+jwt "`: false} {
			if err := taken(hs(k, `{"alg":"HS256","kid":"k","typ":`+typ+`}`, goodClaims), r); err == nil != want {
				t.Errorf("%s: %v", typ, err)
			}
		}
		if _, err := Verify(t.Context(), good, r); err == nil {
			t.Error("no type at all is accepted")
		}
	})
	t.Run("attack_062_nested", func(t *testing.T) {
		headers(t, header(`"alg":"HS256","cty":"JWT"`), header(`"alg":"HS256","cty":"application/jwt"`), header(`"alg":"HS256","cty":5`))
		nested := good
		for range 5 {
			nested = hs(k, header(`"alg":"HS256"`), nested)
		}
		refused(t, r, nested)
	})
	t.Run("attack_063_zip", func(t *testing.T) {
		headers(t, header(`"alg":"HS256","zip":"DEF"`), header(`"alg":"PBES2-HS256+A128KW","p2c":2147483648,"enc":"A128GCM"`), header(`"alg":"dir","enc":"A128GCM","zip":"DEF"`))
	})
	t.Run("attack_064_other_serialisations", func(t *testing.T) {
		p := strings.Split(good, ".")
		refused(t, r, good+".a.b", `{"payload":"`+p[1]+`","signatures":[{"protected":"`+p[0]+`","signature":"`+p[2]+`"},{"protected":"`+p[0]+`","signature":"`+p[2]+`"}]}`,
			`{"protected":"`+p[0]+`","payload":"`+p[1]+`","signature":"`+p[2]+`"}`)
	})
	t.Run("attack_065_duplicate_and_folded_names", func(t *testing.T) {
		headers(t, header(`"alg":"HS256","alg":"none"`), header(`"alg":"none","alg":"HS256"`), header(`"Alg":"HS256"`), header(`"alg":"HS256","ALG":"none"`),
			header(`"alg":"HS256","\u0061lg":"HS256"`), header(`"alg":"HS256","\u212aid":"x"`), header(`"alg":"HS256","x":{"a":1,"a":2}`))
	})
	t.Run("attack_066_no_object", func(t *testing.T) {
		headers(t, `[]`, `"x"`, `null`, `1`, ``, ` `, header(`"alg":"HS256"`)+`x`, header(`"alg":"HS256"`)+`{}`, header(`"alg":"HS256"`)+"\x00")
		must(t, taken(hs(k, " "+header(`"alg":"HS256"`)+"\n", goodClaims), r)) // white space is JSON's
	})
	t.Run("attack_067_deep_and_long", func(t *testing.T) {
		deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
		refused(t, r, hs(k, header(`"alg":"HS256","x":`+deep), goodClaims), hs(k, header(`"alg":"HS256"`), `{"x":`+deep+`}`),
			hs(k, header(`"alg":"HS256"`), `{"x":"`+strings.Repeat("a", 10<<20)+`"}`), hs(k, header(`"alg":"HS256"`), `{"x":`+strings.Repeat("[", 17)+strings.Repeat("]", 17)+`}`))
		var many strings.Builder
		for i := range 300 {
			fmt.Fprintf(&many, `"a%d":1,`, i)
			switch i {
			case maxHeader - 4: // with alg, kid and typ
				must(t, taken(hs(k, `{`+many.String()+header(`"alg":"HS256"`)[1:], goodClaims), r))
			case maxHeader - 3:
				headers(t, `{`+many.String()+header(`"alg":"HS256"`)[1:])
			case maxMembers - 7: // with the six of goodClaims
				must(t, taken(hs(k, header(`"alg":"HS256"`), `{`+many.String()+goodClaims[1:]), r))
			case maxMembers - 6:
				refused(t, r, hs(k, header(`"alg":"HS256"`), `{`+many.String()+goodClaims[1:]))
			}
		}
		refused(t, r, hs(k, header(`"alg":"HS256"`), `{`+many.String()+goodClaims[1:]))
	})
	t.Run("attack_068_base64url", func(t *testing.T) {
		p := strings.Split(good, ".")
		bad := []string{p[0] + "=." + p[1] + "." + p[2], p[0] + "." + p[1] + "." + p[2] + "=", " " + good, good + "\n", p[0] + "." + p[1] + "\n." + p[2],
			p[0] + "." + p[1][:4] + "\r\n" + p[1][4:] + "." + p[2], strings.Replace(good, p[2][:1], "+", 1), p[0] + "." + p[1] + "./" + p[2][1:]}
		// 32 bytes are 43 characters, and the last character has two unused bits.
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, p[2][42])
		for i := 1; i < 4; i++ {
			bad = append(bad, good[:len(good)-1]+alphabet[last^i:last^i+1])
		}
		refused(t, r, bad...)
	})
	t.Run("attack_069_empty_parts", func(t *testing.T) {
		p := strings.Split(good, ".")
		refused(t, r, "", ".", "..", "a..", ".a.", "a.b", "a.b.c.d", p[0]+"."+p[1], p[0]+"."+p[1]+".", "."+p[1]+"."+p[2], p[0]+".."+p[2], good+".", "."+good)
	})
}
