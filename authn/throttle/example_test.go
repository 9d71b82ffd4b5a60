package throttle_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// A password checker calls the limiter before it hashes. This example calls it directly.
func ExampleNewLogin() {
	limit, err := throttle.ParseRate("2/m")
	if err != nil {
		panic(err)
	}
	limiter, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{
		Limits: &throttle.LoginLimits{AccountPlace: []throttle.Rate{limit}},
		Clock:  func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("POST", "/login", nil)
	for range 3 {
		_, err := limiter.Reserve(r, "alice")
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// 429 throttled: Request was throttled. Expected available in 30 seconds.
}

// Limits of requests come after the authn middleware, which is omitted here.
func ExampleScoped() {
	uploads, err := throttle.Scoped(throttle.NewMemory(nil), "uploads", throttle.Rate{Limit: 1, Window: time.Hour}, &throttle.Options{
		Clock: func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
	if err != nil {
		panic(err)
	}
	h := uploads(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "stored") }))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/uploads", nil))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 stored
	// 429 {"detail":"Request was throttled. Expected available in 3600 seconds."}
}
