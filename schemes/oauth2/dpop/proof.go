package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
)

// Proof is a DPoP proof whose claims match its request. Do not trust Key until the signature is
// verified.
type Proof struct {
	// Key is the thumbprint of the key (RFC 7638); "" if the request has no proof.
	Key  string
	id   string // "jti"
	at   time.Time
	text *jose.Embedded
}

// Read returns the proof of a request, or the zero Proof if there is none. It checks the proof
// against uri as RFC 9449, section 4.3, requires. If token is not "", it also checks that the proof
// belongs to that access token. It does not check the signature, or whether the proof was used
// before, because these checks cost more. For these checks, call [Verifier.Verify] after you found
// the rest of the request valid.
//
// uri must come from configuration, never from a Host header. A rejected proof is an *Error.
func (v *Verifier) Read(r *http.Request, uri, token string) (Proof, error) {
	lines := r.Header["Dpop"]
	switch {
	case len(lines) == 0:
		return Proof{}, nil
	case len(lines) > 1:
		return Proof{}, Invalid("several proofs")
	case len(lines[0]) > maxProof:
		return Proof{}, Invalid("too long")
	}
	e, err := jose.DecodeEmbedded(lines[0], "dpop+jwt", v.algs...)
	if err != nil {
		return Proof{}, &Error{codeProof, err}
	}
	claims := e.Claims
	known, err := claims.Registered()
	if err != nil {
		return Proof{}, &Error{codeProof, err}
	}
	htm, _ := claims.Text("htm")
	htu, _ := claims.Text("htu")
	age := v.now().Sub(known.IssuedAt)
	switch {
	case known.ID == "":
		return Proof{}, Invalid("no jti")
	case htm != r.Method:
		return Proof{}, Invalid("for another method")
	case !sameURI(htu, uri):
		return Proof{}, Invalid("for another URL (here it begins with " + syntax.Origin(uri) + ")")
	case known.IssuedAt.IsZero() || age > window || age < -window:
		return Proof{}, Invalid("created too long ago, or later than now")
	case !known.Expires.IsZero() && !v.now().Before(known.Expires) || v.now().Before(known.NotBefore):
		return Proof{}, Invalid("expired or not yet valid")
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		ath, _ := claims.Text("ath")
		if subtle.ConstantTimeCompare([]byte(ath), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) != 1 {
			return Proof{}, Invalid("for another access token")
		}
	}
	if v.nonces != nil {
		if nonce, _ := claims.Text("nonce"); !v.fresh(nonce) {
			return Proof{}, &Error{codeNonce, errors.New("without a nonce, or with an old one")}
		}
	}
	return Proof{e.Thumbprint, known.ID, known.IssuedAt, e}, nil
}

// Verify verifies the signature of a proof and does not consume the proof. It accepts the zero
// Proof. The error is an *Error.
func (p Proof) Verify() error {
	if p.Key == "" {
		return nil
	}
	if err := p.text.Verify(); err != nil {
		return &Error{codeProof, err}
	}
	return nil
}

// sameURI compares the "htu" of a proof with a URL, after normalization. It ignores the query and
// the fragment of htu (RFC 9449, section 4.3).
func sameURI(htu, want string) bool {
	if i := strings.IndexAny(htu, "?#"); i >= 0 {
		htu = htu[:i]
	}
	a, ok := syntax.NormalURI(htu)
	b, ok2 := syntax.NormalURI(want)
	return ok && ok2 && a == b
}
