package server_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
)

func TestWaitingPagesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	t.Run("attack_260_many users", func(t *testing.T) {
		if pages, users := server.Waiting(100_100, 1); pages > 100_000 || users > 100_000 {
			t.Errorf("%d pages of %d users are remembered", pages, users)
		}
		if pages, users := server.Waiting(1_100, 110); pages > 100_000 || users < 900 {
			t.Errorf("%d pages of %d users are remembered", pages, users)
		}
	})
}
