package keys_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/keys"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	one = bytes.Repeat([]byte{1, 2}, 16)
	two = bytes.Repeat([]byte{3, 4}, 16)
)

func TestRing(t *testing.T) {
	both, err := keys.NewRing(two, one)
	must(t, err)
	alone, err := keys.NewRing(one)
	must(t, err)
	id, k := alone.Newest(keys.StaticToken)
	if again, ok := both.ByID(keys.StaticToken, id); !ok || again != k {
		t.Error("an older key of a ring is another one")
	}
	if newest, _ := both.Newest(keys.StaticToken); newest == id || !both.Has(id) || both.IDs()[0] != newest {
		t.Error("the first key is not the newest")
	}
	if _, ok := alone.ByID(keys.StaticToken, "unknown"); ok || alone.Has("unknown") {
		t.Error("an unknown id has a key")
	}
	seen := map[keys.Key]keys.Purpose{}
	for _, p := range []keys.Purpose{keys.StaticToken, keys.SessionSeal, keys.CSRF, keys.ShortCodes, keys.ThrottleNames, keys.AuditHashes, keys.DeviceCookie, keys.SigningKeys, keys.DPoPNonce} {
		_, k := alone.Newest(p)
		if other, ok := seen[k]; ok || k == (keys.Key{}) || bytes.Equal(k[:], one) {
			t.Errorf("%s and %s have one key", p, other)
		}
		seen[k] = p
	}
	// HKDF-SHA-256 (RFC 5869) with an empty salt, computed by another program.
	if _, k := alone.Newest(keys.StaticToken); hex.EncodeToString(k[:]) != "fe94b07acbe941b5beec3285be42b0102f2b119f8df641adcf66f7d8d483bb19" {
		t.Errorf("the derivation changed: %x", k[:])
	}
	for name, bad := range map[string][][]byte{"none": nil, "short": {one[:31]}, "long": {append(one[:32:32], 1)}, "zero": {make([]byte, 32)}, "twice": {one, two, one}, "nil": {nil}} {
		if _, err := keys.NewRing(bad...); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestParse(t *testing.T) {
	h1, h2 := hex.EncodeToString(one), hex.EncodeToString(two)
	for name, x := range map[string]struct {
		text string
		keys int
	}{
		"raw": {string(append([]byte{0xff}, one[1:]...)), 1}, "raw, all letters": {strings.Repeat("ab", 16), 1}, "hex": {h1, 1}, "hex with a line end": {h1 + "\n", 1}, "upper case": {strings.ToUpper(h1), 1},
		"several": {"# new\r\n" + h2 + "\r\n\r\n# old\r\n  " + h1 + "  \r\n", 2},
		"empty":   {"", 0}, "33 letters": {strings.Repeat("ab", 16) + "c", 0}, "short": {h1[:62], 0}, "no hex": {"zz" + h1[2:], 0}, "twice": {h1 + "\n" + h1, 0}, "31 bytes": {string(one[:31]), 0}, "comments": {"# nothing\n", 0},
	} {
		r, err := keys.Parse([]byte(x.text))
		if (err == nil) != (x.keys > 0) || err == nil && len(r.IDs()) != x.keys {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(x.text) > 8 && strings.Contains(err.Error(), x.text[:8]) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

// An existing file is never overwritten.
func TestParseHex(t *testing.T) {
	for text, want := range map[string]bool{
		strings.Repeat("0f1e", 16): true, strings.Repeat("0f1e", 8): false, "correct horse battery staple 123": false, "": false,
	} {
		if _, err := keys.ParseHex(text); err == nil != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCreateLoads(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	text := hex.EncodeToString(two) + "\n" + hex.EncodeToString(one) + "\n"
	must(t, os.WriteFile(path, []byte(text), 0o600))
	r, made, err := keys.Create(path)
	must(t, err)
	if made || len(r.IDs()) != 2 {
		t.Errorf("made %v, %d keys", made, len(r.IDs()))
	}
	junk := []byte("junk")
	must(t, os.WriteFile(path, junk, 0o600))
	if _, made, err := keys.Create(path); err == nil || made {
		t.Errorf("a broken file: made %v, %v", made, err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, junk) {
		t.Error("a broken file was written over")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("files left behind: %v", files)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	var made atomic.Int64
	ids := make([]string, 64)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			r, mine, err := keys.Create(path)
			if err != nil {
				t.Error(err)
				return
			}
			if mine {
				made.Add(1)
			}
			ids[i] = r.IDs()[0]
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatal("two processes that start at once have two keys")
		}
	}
	info, err := os.Stat(path)
	must(t, err)
	if files, _ := os.ReadDir(dir); made.Load() != 1 || info.Mode().Perm() != 0o600 || len(files) != 1 {
		t.Errorf("made %d, mode %v, files %v", made.Load(), info.Mode(), files)
	}
	must(t, os.Chmod(path, 0o640))
	if err := keys.CheckFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that the group can read: %v", err)
	}
	if _, err := keys.Load(path); err != nil {
		t.Error(err)
	}
	if _, err := keys.Load(dir); err == nil {
		t.Error("a folder was taken")
	}
	absent := filepath.Join(dir, "absent")
	if _, err := keys.Load(absent); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), absent) || !strings.Contains(err.Error(), "(create it once with: openssl rand -hex 32, or Create)") {
		t.Errorf("no file: %v", err)
	}
	junk := filepath.Join(dir, "junk")
	must(t, os.WriteFile(junk, []byte("hello\n"), 0o600))
	if _, err := keys.Load(junk); err == nil || err.Error() != "keys: Load: "+junk+": keys: Parse: line 1 is not a key (64 hexadecimal digits)" {
		t.Errorf("a file without a key: %v", err)
	}
	huge := filepath.Join(dir, "huge")
	must(t, os.WriteFile(huge, []byte("# "+strings.Repeat("x", 64<<10)+"\n"+hex.EncodeToString(one)), 0o600))
	if _, err := keys.Load(huge); err == nil {
		t.Error("a huge file was taken")
	}
	if _, err := keys.Load(filepath.Join(dir, "none")); err == nil {
		t.Error("an absent file was taken")
	}
	if _, _, err := keys.Create(filepath.Join(dir, "none", "key")); err == nil {
		t.Error("a key in an absent folder")
	}
}

func TestNothingIsPrinted(t *testing.T) {
	r, err := keys.NewRing(one)
	must(t, err)
	_, k := r.Newest(keys.CSRF)
	var out strings.Builder
	for _, v := range []any{r, *r, k, &k, struct{ K keys.Key }{k}} {
		fmt.Fprintf(&out, "%v %+v %#v %s", v, v, v, v)
		b, err := json.Marshal(v)
		must(t, err)
		out.Write(b)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	for _, secret := range []string{hex.EncodeToString(k[:4]), fmt.Sprint(k[0], k[1]), fmt.Sprintf("%d, %d, %d", k[0], k[1], k[2]), fmt.Sprintf("0x%x, 0x%x", k[0], k[1])} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("a key is printed: %s", out.String())
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(hex.EncodeToString(one)))
	f.Add(one)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := keys.Parse(b)
		if (r == nil) != (err != nil) {
			t.Error(r, err)
		}
	})
}
