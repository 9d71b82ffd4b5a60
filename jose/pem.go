package jose

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParsePEM reads a key in PEM: PRIVATE KEY (PKCS #8), RSA PRIVATE KEY or RSA PUBLIC
// KEY (PKCS #1), EC PRIVATE KEY (SEC 1), or PUBLIC KEY (PKIX). The EC PARAMETERS that
// OpenSSL writes before an EC key are skipped. Anything else beside the key, a second
// key or a certificate, is refused: which one was meant cannot be told. So is a key
// with a passphrase. The error never quotes the input.
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
			return nil, errors.New("jose: PEM of more than one key")
		default:
			found = block
		}
	}
	if found == nil {
		return nil, errors.New("jose: no PEM of a key")
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
		return nil, fmt.Errorf("jose: a private key of type %T", private)
	}
	return NewPrivate(id, alg, signer)
}

// parseBlock returns a public or a private key.
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
		return nil, nil, errors.New("jose: PEM of another type than PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY, PUBLIC KEY, RSA PUBLIC KEY")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("jose: a %s that cannot be read", block.Type)
	}
	return public, private, nil
}
