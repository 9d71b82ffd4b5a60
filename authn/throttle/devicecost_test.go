package throttle_test

import (
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// A device cookie with a wrong length is not decoded.
func TestLongDeviceCookie_attack_386(t *testing.T) {
	l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{DeviceKey: key32, Clock: newClock().now})
	for _, n := range []int{1000, 30_000, 900_000} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Cookie", "__Host-device="+strings.Repeat("A", n))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := l.Reserve(r, "alice")
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err != nil || took > 16<<10 {
			t.Errorf("a cookie of %d bytes: %v, %d bytes of memory", n, err, took)
		}
	}
}
