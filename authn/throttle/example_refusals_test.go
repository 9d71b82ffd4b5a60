package throttle_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Limit requests with rejected credentials, per client address.
func ExampleNewRefusals() {
	tokens, err := knox.New(memory.New(nil), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	limit, err := throttle.NewRefusals(&throttle.RefusalOptions{Limit: throttle.Rate{Limit: 2, Window: time.Minute}})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth := authn.New(authn.Chain{tokens}, &authn.Options{Refusals: limit, Logger: slog.New(slog.DiscardHandler)})
	h := auth.Handler(http.NotFoundHandler())
	for range 3 {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Knox invalid")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 401
	// 401
	// 429
}
