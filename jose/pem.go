package jose

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParsePEM parses a key in PEM: PRIVATE KEY (PKCS #8), RSA PRIVATE KEY or RSA PUBLIC KEY (PKCS #1),
// EC PRIVATE KEY (SEC 1), or PUBLIC KEY (PKIX). A private key signs; a public key only verifies.
//
// It skips the EC PARAMETERS that OpenSSL writes before an EC key. It returns an error for a key
// with a passphrase. It also returns an error if there is a second key or a certificate, because
// the choice would be ambiguous. The error never quotes the input.
func ParsePEM(id string, alg Algorithm, data []byte) (*Key, error) {
	var found *pem.Block
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		switch {
		case block.Type == "EC PARAMETERS":
		case found != nil:
			return nil, errors.New("jose: ParsePEM: more than one PEM block (exactly one key)")
		default:
			found = block
		}
	}
	if found == nil {
		return nil, errors.New("jose: ParsePEM: no PEM block found")
	}
	public, private, err := parseBlock(found)
	switch {
	case err != nil:
		return nil, err
	case private == nil:
		return NewPublic(id, alg, public)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("jose: ParsePEM: unsupported private key type %T", private)
	}
	return NewPrivate(id, alg, signer)
}

// parseBlock returns either a public or a private key.
func parseBlock(block *pem.Block) (public, private any, err error) {
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, nil, errors.New("jose: ParsePEM: unsupported PEM type (PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY, PUBLIC KEY or RSA PUBLIC KEY)")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("jose: ParsePEM: malformed %s", block.Type)
	}
	return public, private, nil
}
