//lint:file-ignore SA1019 incomplete keys are built field by field
package jose

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A malformed key is an error, not a panic.
func TestNoKeys(t *testing.T) {
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	_, other, err := ed25519.GenerateKey(nil)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(nil)
	must(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ec2, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	modulus := func(n *big.Int) *rsa.PublicKey { return &rsa.PublicKey{N: n, E: 65537} }
	for what, c := range map[string]struct {
		alg Algorithm
		key any
	}{
		"nil":                    {RS256, nil},
		"a nil RSA public":       {RS256, (*rsa.PublicKey)(nil)},
		"an empty RSA public":    {RS256, &rsa.PublicKey{}},
		"a negative modulus":     {RS256, modulus(new(big.Int).Neg(rs.N))},
		"an even modulus":        {RS256, modulus(new(big.Int).Add(rs.N, big.NewInt(1)))},
		"1,024 bits":             {RS256, modulus(new(big.Int).SetBit(big.NewInt(1), 1023, 1))},
		"16,384 bits":            {RS256, modulus(new(big.Int).SetBit(big.NewInt(1), 16383, 1))},
		"exponent 1":             {RS256, &rsa.PublicKey{N: rs.N, E: 1}},
		"an even exponent":       {RS256, &rsa.PublicKey{N: rs.N, E: 4}},
		"a nil EC public":        {ES256, (*ecdsa.PublicKey)(nil)},
		"an empty EC public":     {ES256, &ecdsa.PublicKey{}},
		"a curve alone":          {ES256, &ecdsa.PublicKey{Curve: elliptic.P256()}},
		"no point of the curve":  {ES256, &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}},
		"a negative coordinate":  {ES256, &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(-1), Y: big.NewInt(1)}},
		"another curve":          {ES384, &ec.PublicKey},
		"a short Ed25519 public": {EdDSA, ed25519.PublicKey{1}},
		"a nil RSA private":      {RS256, (*rsa.PrivateKey)(nil)},
		"an empty RSA private":   {RS256, &rsa.PrivateKey{}},
		"RSA without D":          {RS256, &rsa.PrivateKey{PublicKey: rs.PublicKey, Primes: rs.Primes}},
		"RSA with another D":     {RS256, &rsa.PrivateKey{PublicKey: rs.PublicKey, D: big.NewInt(5), Primes: rs.Primes}},
		"RSA with nil primes":    {RS256, &rsa.PrivateKey{PublicKey: rs.PublicKey, D: rs.D, Primes: []*big.Int{nil, nil}}},
		"a nil EC private":       {ES256, (*ecdsa.PrivateKey)(nil)},
		"an empty EC private":    {ES256, &ecdsa.PrivateKey{}},
		"EC without D":           {ES256, &ecdsa.PrivateKey{PublicKey: ec.PublicKey}},
		"EC with another D":      {ES256, &ecdsa.PrivateKey{PublicKey: ec.PublicKey, D: ec2.D}},
		"a short Ed25519":        {EdDSA, ed25519.PrivateKey{1, 2}},
		"Ed25519, another half":  {EdDSA, slices.Concat(ed[:32], other[32:])},
	} {
		var err error
		if signer, ok := c.key.(crypto.Signer); ok {
			_, err = NewPrivate("k", c.alg, signer)
		} else {
			_, err = NewPublic("k", c.alg, c.key)
		}
		if err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	for what, id := range map[string]string{"empty": "", "long": strings.Repeat("k", 256), "NUL": "a\x00", "not UTF-8": "\xff"} {
		if _, err := NewPrivate(id, EdDSA, ed); err == nil {
			t.Errorf("an ID that is %s: taken", what)
		}
	}
}

// A Key shares no memory with the value that it was created from.
func TestKeysAreCopies(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	k, err := NewPrivate("k", EdDSA, private)
	must(t, err)
	p, err := NewPublic("k", EdDSA, public)
	must(t, err)
	secret := []byte("0123456789abcdef0123456789abcdef")
	h, err := NewSecret("h", HS256, secret)
	must(t, err)
	before := hs(h, `{}`, `{}`)
	clear(public)
	clear(private)
	clear(secret)
	sig, err := k.sign("x")
	must(t, err)
	if !p.verify("x", sig) || hs(h, `{}`, `{}`) != before {
		t.Error("a key changed")
	}
}

// Printing a Key or a Token by value, by pointer and inside others shows no secret.
func TestPrintedByValue(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	k, err := NewPrivate("the-id", EdDSA, private)
	must(t, err)
	r, err := NewKeySet(k)
	must(t, err)
	text, err := r.Sign(t.Context(), "at+jwt", []byte(goodClaims))
	must(t, err)
	token, err := Verify(t.Context(), text, r, "at+jwt")
	must(t, err)
	timed := TimedKey{Key: k, Expires: now}
	var out strings.Builder
	for _, v := range []any{k, *k, r, timed, &timed, token, *token, []Token{*token}, map[string]Key{"a": *k}} {
		j, err := json.Marshal(v)
		must(t, err)
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, j)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	}
	signature := text[strings.LastIndexByte(text, '.')+1:]
	raw := strings.Trim(fmt.Sprint([]byte(private[:8])), "[]")
	raw16 := strings.TrimSuffix(fmt.Sprintf("%#v", []byte(private[:8]))[len("[]byte{"):], "}")
	for _, s := range []string{signature, raw, raw16, fmt.Sprint(token.signature[:8])[1:20]} {
		if strings.Contains(out.String(), s) {
			t.Errorf("%q is in\n%s", s, out.String())
		}
	}
	if !strings.Contains(out.String(), "the-id") {
		t.Error("the ID is not printed")
	}
}

// encoding/json would read "KTY" as "kty", and use the last of several members.
func TestJWKNames(t *testing.T) {
	const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	good := `{"kty":"OKP","crv":"Ed25519","x":"` + x + `","kid":"x"`
	for text, want := range map[string]int{
		`{"keys":[` + good + `}]}`: 1,
		`{"keys":[` + good + `,"alg":"EdDSA","use":"sig","key_ops":["verify"],"d":"secret","X5C":[]}]}`: 1,
		`{"keys":[` + good + `,"alg":"Ed25519"}]}`:                                                      1,
		`{"KEYS":[` + good + `}]}`:                                                                      -1,
		`{"keys":[],"Keys":[` + good + `}]}`:                                                            0,
		`{"keys":[{"KTY":"OKP","crv":"Ed25519","x":"` + x + `","kid":"x"}]}`:                            0,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","X":"` + x + `","kid":"x"}]}`:                            0,
		`{"keys":[` + good + `,"alg":"ES256"}]}`:                                                        0,
		`{"keys":[` + good + `,"alg":5}]}`:                                                              0,
		`{"keys":[` + good + `,"use":"enc"}]}`:                                                          0,
		`{"keys":[` + good + `,"key_ops":[]}]}`:                                                         0,
		`{"keys":[` + good + `,"key_ops":["sign"]}]}`:                                                   0,
		`{"keys":[` + good + `,"key_ops":"verify"}]}`:                                                   0,
		`{"keys":[` + good + `,"kid":"y"}]}`:                                                            -1,
		`{"keys":[` + good + `},` + good + `}]}`:                                                        -1,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + x[:10] + `\n` + x[10:] + `","kid":"x"}]}`:       0,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + x + `"}]}`:                                      0,
		`{"keys":null}`: -1,
	} {
		list, err := ParseJWKS([]byte(text))
		if want < 0 && err == nil || want >= 0 && (err != nil || len(list) != want) {
			t.Errorf("%s: %v, %v, want %d", text, list, err, want)
		}
	}
}

// Invalid Checks accept no token, and the error is not an ErrInvalid.
func TestUnsafeChecks(t *testing.T) {
	c, err := ParseClaims([]byte(`{"aud":"","sub":"a","jti":"b","exp":9000000000}`))
	must(t, err)
	for _, bad := range []Checks{{}, {Clock: time.Now}, {Issuer: "i", Audience: "a"}, {Issuer: "i", Audience: "a", Clock: time.Now, Leeway: time.Hour}} {
		if _, err := bad.Check(c); err == nil || errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: got %v, want a fault", bad, err)
		}
	}
}

// A fraction is dropped, not rounded.
func TestTimeIsFloored(t *testing.T) {
	for text, want := range map[string]int64{"1800000000.99999999999999": 1800000000, "0.9999999999999999999": 0, "253402300799.999": maxSeconds, "1.8e9": 1800000000} {
		c, err := ParseClaims([]byte(`{"exp":` + text + `}`))
		must(t, err)
		if got, err := c.Time("exp"); err != nil || got.Unix() != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// A token of the maximum length is accepted and a longer one is not, whatever it holds.
func TestLongestToken(t *testing.T) {
	k, r := hs256(t)
	const header = `{"alg":"HS256","kid":"k","typ":"at+jwt"}`
	room := MaxToken - len(b64(header)) - len(".") - len(".") - 43
	fits := strings.Repeat(" ", room*3/4-len(goodClaims)) + goodClaims
	token := hs(k, header, fits)
	if len(token) > MaxToken || len(token) < MaxToken-3 {
		t.Fatalf("%d bytes", len(token))
	}
	must(t, taken(token, r))
	refused(t, r, hs(k, header, "    "+fits))
	if _, err := r.Sign(t.Context(), "at+jwt", []byte("    "+fits)); err == nil {
		t.Error("a token that no verifier takes is made")
	}
}

// A token without "typ" matches no type.
func TestNoType(t *testing.T) {
	k, r := hs256(t)
	for _, types := range [][]string{nil, {""}, {"", "at+jwt"}} {
		if _, err := Verify(context.Background(), hs(k, `{"alg":"HS256","kid":"k"}`, goodClaims), r, types...); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v", types, err)
		}
	}
}

// Rejecting a token costs at most 64 KiB, whatever it holds.
func TestRefusalsAreCheap(t *testing.T) {
	_, r := hs256(t)
	var many strings.Builder
	for i := range maxMembers - 1 {
		fmt.Fprintf(&many, `"%02x":1,`, i)
	}
	full := `{` + many.String() + `"alg":"HS256"}`
	header := `{` + many.String()[:(maxHeader-1)*len(`"00":1,`)] + `"alg":"HS256"}`
	deep := `{` + many.String() + `"x":` + full + `}`
	for what, token := range map[string]string{
		"dots":     strings.Repeat(".", MaxToken),
		"too long": strings.Repeat("a", 10<<20),
		"members":  b64(header) + "." + b64(deep+strings.Repeat(" ", 9000)+"x") + ".AAAA",
		"lists":    b64(`{"alg":"HS256"}`) + "." + b64(`{"x":`+strings.Repeat(`[[],`, 2900)) + ".AAAA",
		"escapes":  b64(`{"alg":"HS256"}`) + "." + b64(`{"`+strings.Repeat(`\n`, 5800)+`":1}x`) + ".AAAA",
	} {
		const runs = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if _, err := Verify(context.Background(), token, r, "at+jwt"); !errors.Is(err, ErrInvalid) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / runs; each > 64<<10 {
			t.Errorf("%s: %d bytes", what, each)
		}
	}
}
