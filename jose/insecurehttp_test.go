package jose_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/jose"
)

func TestRemoteInsecureHTTP(t *testing.T) {
	for address, want := range map[string][3]bool{ // by default, Insecure, InsecureHTTP
		"http://auth:8080/jwks":      {false, false, true},
		"http://127.0.0.1:8080/jwks": {false, true, true},
		"https://auth.example/jwks":  {true, true, true},
		"ftp://auth/jwks":            {false, false, false},
		"http://u:p@auth/jwks":       {false, false, false},
	} {
		t.Run("edge_C12/"+address, func(t *testing.T) {
			for i, o := range []jose.RemoteOptions{{}, {Insecure: true}, {InsecureHTTP: true}} {
				_, err := jose.NewRemoteKeySet(address, &o)
				if (err == nil) != want[i] {
					t.Errorf("%+v: %v", o, err)
				}
				if err != nil && i == 0 && strings.HasPrefix(address, "http://auth") && !strings.Contains(err.Error(), "InsecureHTTP") {
					t.Errorf("the error does not name the option: %v", err)
				}
			}
		})
	}
}
