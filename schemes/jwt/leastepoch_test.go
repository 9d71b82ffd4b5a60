package jwt_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// Everybody was logged out here, with "logout-everywhere -all". That says nothing about users of
// another issuer, nor about what a client of the own issuer obtained for itself.
func TestLogoutAllAndOtherIssuers_attack_496(t *testing.T) {
	schemetest.Each(t, schemetest.Born, func(t *testing.T, s storagetest.Store) {
		_, err := storage.LogoutAll(t.Context(), any(s).(storage.EpochBatches), time.Time{})
		schemetest.Must(t, err)
		ring := ringOf(t, jose.EdDSA)
		v := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Blocklist: any(s).(storage.Blocklist)})
		subjects(t, v, ring, map[string]claims{fmt.Sprintf("user-7@%s/app", idp): {}})
		own := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{OwnIssuer: true, Blocklist: any(s).(storage.Blocklist)})
		subjects(t, own, ring, map[string]claims{
			"@/app of a client": {"sub": "app", "ver": 1},
			"- of a user":       {"sub": "user-7", "ver": 1}, // before the logout
			"- after a restore": {"sub": "user-7", "ver": int64(1) << 60},
		})
	})
}
