package rotation

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"

	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/storage"
)

// NewID returns a random identifier for a family or an access token: 128 bits in base64url. It
// returns an error only if random does.
func NewID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("rotation: NewID: read random bytes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// SourceOf returns the Use.Source for a client address, or "" if the address is invalid.
func SourceOf(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return network.Source.Name(a)
}

// PurposeOf returns the purpose of the token families of a scheme. audience is the audience of its
// access tokens; "" means any audience. With different purposes, several issuers and audiences can
// share a store.
func PurposeOf(scheme, issuer, audience string) string {
	key := storage.BlockKeyOf("purpose", issuer, fmt.Sprintf("%d %s%s", len(scheme), scheme, audience))
	return scheme + " " + base64.RawURLEncoding.EncodeToString(key[:15])
}
