package keys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// The derivation gives the results of Project Wycheproof's vectors without salt.
func TestWycheproof(t *testing.T) {
	dir := os.Getenv("VESTIBULE_VECTORS")
	text, err := os.ReadFile(filepath.Join(dir, "security", "wycheproof", "hkdf_sha256_test.json"))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("Wycheproof did not run: set VESTIBULE_VECTORS to the folder that holds security/wycheproof")
	}
	var file struct {
		TestGroups []struct {
			Tests []struct {
				TcID                 int
				IKM, Salt, Info, OKM string
				Size                 int
				Result               string
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ran := 0
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			if v.Salt != "" && v.Result == "valid" {
				continue
			}
			ran++
			got, err := derive(unhex(v.IKM), string(unhex(v.Info)), v.Size)
			if v.Result != "valid" { // longer than HKDF can give, with any salt
				if err == nil {
					t.Errorf("%d: %d bytes were derived", v.TcID, v.Size)
				}
			} else if err != nil || !bytes.Equal(got, unhex(v.OKM)) {
				t.Errorf("%d: got %x, %v, want %s", v.TcID, got, err, v.OKM)
			}
		}
	}
	if ran < 15 {
		t.Errorf("%d vectors ran", ran)
	}
}
