package jose

import (
	"crypto"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"fmt"
	"hash"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// method holds how an algorithm signs and verifies.
type method struct {
	kind  kind
	hash  crypto.Hash
	curve elliptic.Curve
	jwt   jwt.SigningMethod
}

// method returns the method of the algorithm, or an error if it is not supported.
func (a Algorithm) method() (method, error) {
	switch a {
	case HS256:
		return method{kind: kindSecret, hash: crypto.SHA256}, nil
	case HS384:
		return method{kind: kindSecret, hash: crypto.SHA384}, nil
	case HS512:
		return method{kind: kindSecret, hash: crypto.SHA512}, nil
	case RS256:
		return method{kind: kindRSA, jwt: jwt.SigningMethodRS256}, nil
	case RS384:
		return method{kind: kindRSA, jwt: jwt.SigningMethodRS384}, nil
	case RS512:
		return method{kind: kindRSA, jwt: jwt.SigningMethodRS512}, nil
	case PS256:
		return method{kind: kindRSA, jwt: pss(jwt.SigningMethodPS256)}, nil
	case PS384:
		return method{kind: kindRSA, jwt: pss(jwt.SigningMethodPS384)}, nil
	case PS512:
		return method{kind: kindRSA, jwt: pss(jwt.SigningMethodPS512)}, nil
	case ES256:
		return method{kind: kindEC, curve: elliptic.P256(), jwt: jwt.SigningMethodES256}, nil
	case ES384:
		return method{kind: kindEC, curve: elliptic.P384(), jwt: jwt.SigningMethodES384}, nil
	case ES512:
		return method{kind: kindEC, curve: elliptic.P521(), jwt: jwt.SigningMethodES512}, nil
	case EdDSA:
		return method{kind: kindEd, jwt: jwt.SigningMethodEdDSA}, nil
	}
	return method{}, fmt.Errorf("jose: unsupported algorithm %q", string(a))
}

// Valid reports whether the algorithm is one of the algorithms of this package. "none" is not
// valid.
func (a Algorithm) Valid() bool {
	switch a {
	case HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA:
		return true
	}
	return false
}

// pss returns m with the salt length of RFC 7518, section 3.5: as long as the hash. golang-jwt
// accepts any length.
func pss(m *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	c := *m
	exact := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.Options.Hash}
	c.Options, c.VerifyOptions = exact, exact
	return &c
}

// verify reports whether the signature was created with the key.
func (k *Key) verify(signed string, signature []byte) bool {
	if k.secret != nil {
		return k.secret.verify(signed, signature)
	}
	return k.method.jwt.Verify(signed, signature, k.public) == nil
}

// sign returns the signature of signed.
func (k *Key) sign(signed string) ([]byte, error) {
	switch {
	case k.secret != nil:
		return k.secret.sum(nil, signed), nil
	case k.signer == nil:
		return nil, fmt.Errorf("jose: key %s cannot sign", k.id)
	}
	return k.method.jwt.Sign(signed, k.signer)
}

// secret is an HMAC key with a pool of initialized HMAC states. Initializing a state costs more
// than computing an HMAC, and golang-jwt does so for each token.
type secret struct {
	key    []byte
	states sync.Pool
}

func newSecret(h crypto.Hash, key []byte) *secret {
	s := &secret{key: append([]byte(nil), key...)}
	s.states.New = func() any { return &state{Hash: hmac.New(h.New, s.key)} }
	return s
}

// state is an HMAC with buffers for a block of input and for the result.
type state struct {
	hash.Hash
	in, out [128]byte
}

func (s *secret) sum(out []byte, signed string) []byte {
	st := s.states.Get().(*state)
	defer s.states.Put(st)
	defer st.forget()
	return append(out, st.sum(signed)...)
}

// forget clears the message and the HMAC before the state returns to the pool.
func (st *state) forget() {
	st.Reset()
	clear(st.in[:])
	clear(st.out[:])
}

func (st *state) sum(signed string) []byte {
	st.Reset()
	for len(signed) > 0 {
		n := copy(st.in[:], signed)
		_, _ = st.Write(st.in[:n]) // Write of a hash cannot fail
		signed = signed[n:]
	}
	return st.Sum(st.out[:0])
}

func (s *secret) verify(signed string, signature []byte) bool {
	st := s.states.Get().(*state)
	defer s.states.Put(st)
	defer st.forget()
	return hmac.Equal(st.sum(signed), signature)
}
