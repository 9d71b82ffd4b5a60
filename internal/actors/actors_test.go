package actors_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/actors"
)

// A list comes back from the claim and from the packed text as it was, whatever the names contain.
func TestRoundTrip(t *testing.T) {
	for _, list := range [][]string{nil, {"b"}, {"b", "a"}, {"a b", "ü+%", "https://c.example/x?y"}} {
		for _, confirm := range []string{"", "thumb-print_0"} {
			if key, got, err := actors.Unpack(actors.Pack(confirm, list)); err != nil || key != confirm || !slices.Equal(got, list) {
				t.Errorf("%q %q: %q, %q, %v", confirm, list, key, got, err)
			}
		}
		raw, err := json.Marshal(actors.ClaimOf(list))
		if err != nil {
			t.Fatal(err)
		}
		if got := actors.Read(raw); list != nil && !slices.Equal(got, list) {
			t.Errorf("%s: %q", raw, got)
		}
	}
	if actors.ClaimOf(nil) != nil {
		t.Error("a claim without actors")
	}
	for _, text := range []string{" ", "k ", "k a  b", "k %zz"} {
		if _, list, err := actors.Unpack(text); err == nil {
			t.Errorf("%q: %q", text, list)
		}
	}
}

// A claim of an unknown shape has an actor without a name, never none.
func TestReadUnknownShapes(t *testing.T) {
	for raw, want := range map[string]string{
		`null`: `[""]`, `true`: `[""]`, `{}`: `[""]`, `[]`: `[""]`, `"x"`: `[""]`, `{"sub":1}`: `[""]`, `{"Sub":"x"}`: `[""]`,
		`{"sub":"b","act":null}`: `["b" ""]`, `{"client_id":"x","act":{"sub":"a"}}`: `["" "a"]`, `{"sub":"b","act":{"sub":"a"}}`: `["b" "a"]`,
	} {
		if got := fmt.Sprintf("%q", actors.Read([]byte(raw))); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}
