package jose

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParsePEM reads a key in PEM: PRIVATE KEY (PKCS #8), RSA PRIVATE KEY (PKCS #1),
// EC PRIVATE KEY (SEC 1), or PUBLIC KEY (PKIX). The error never quotes the input.
func ParsePEM(id string, alg Algorithm, data []byte) (*Key, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("jose: no PEM")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		if key, err = x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			return NewPublic(id, alg, key)
		}
	default:
		return nil, errors.New("jose: PEM of another type than PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY, PUBLIC KEY")
	}
	if err != nil {
		return nil, fmt.Errorf("jose: a %s that can not be read", block.Type)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("jose: a private key of type %T", key)
	}
	return NewPrivate(id, alg, signer)
}
