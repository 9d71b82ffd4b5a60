//go:build interop

package interop

import "testing"

// The same client as a device without a browser, and with tokens that are bound to its key.
func TestDeviceAndKeys(t *testing.T) {
	is(t, walk(t, "device.mjs", compare(t)), map[string]string{
		"device":                  `[9,true,5,true]`,
		"allowed":                 `[true,200]`,
		"device_tokens":           `["bearer","openid profile","demo-public","alice"]`,
		"device_profile":          `[200,"alice"]`,
		"device_again":            `"invalid_grant"`,
		"denied":                  `"access_denied"`,
		"bound":                   `["dpop",200,"alice"]`,
		"bound_as_bearer":         `401`,
		"bound_other_key":         `401`,
		"bound_refresh_other_key": `"invalid_grant"`,
		"bound_refresh":           `["dpop",200]`,
		"bound_client":            `["dpop",200]`,
	})
}
