package authntest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/authntest"
)

// docs/testing.md contains the rules.
func TestRulesInGuide(t *testing.T) {
	var want strings.Builder
	for _, r := range authntest.Rules() {
		need := strings.Trim(r.Needs, " ")
		if need != "" {
			need = "`" + need + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", r.Name, r.Sentence, need)
	}
	guide, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(guide), want.String()) {
		t.Errorf("docs/testing.md has not this table:\n%s", &want)
	}
}
