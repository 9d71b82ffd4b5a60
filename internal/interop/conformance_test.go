//go:build interop

package interop

import (
	"net"
	"testing"
)

// The conformance tests of the Model Context Protocol for authorization servers pass without a
// warning at a server that is not made for that protocol, too.
func TestConformanceOfCompare(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	is(t, walk(t, "conformance.mjs", compare(t), "demo-public", port), map[string]string{
		"exit": `0`, "authorization-server-metadata": `"SUCCESS"`, "authorization-server-metadata-cimd": `"SUCCESS"`, "authorization-code-grant": `"SUCCESS"`,
	})
}
