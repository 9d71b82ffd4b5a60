package django

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

type knoxRow struct {
	Kind, Case, Token string
	Version           string `json:"knox_version"`
	Config            map[string]any
	Row               tableRows
	Expect            struct {
		OK     bool
		Detail string
	}
	Note string
}

// tableRows are the rows with the same token key: one row or a list.
type tableRows []struct {
	Digest, Salt string
	TokenKey     string `json:"token_key"`
}

func (r *tableRows) UnmarshalJSON(text []byte) error {
	type list tableRows
	if text[0] == '{' {
		text = append(append([]byte{'['}, text...), ']')
	}
	return json.Unmarshal(text, (*list)(r))
}

// matches reports whether the token belongs to one of the rows.
func (k KnoxHash) matches(token string, rows tableRows) bool {
	for _, row := range rows {
		if k.TokenKey(token) == row.TokenKey && k.Matches(token, row.Salt, row.Digest) {
			return true
		}
	}
	return false
}

func knoxRows(t *testing.T) []knoxRow {
	t.Helper()
	text, err := os.ReadFile("testdata/knox.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Rows []knoxRow }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Rows) < 100 {
		t.Fatalf("%d rows", len(file.Rows))
	}
	return file.Rows
}

func (r knoxRow) hash(t *testing.T) KnoxHash {
	t.Helper()
	version := map[string]KnoxVersion{"4.1.0": Knox41, "4.2.0": Knox42, "5.0.2": Knox5}[r.Version]
	algorithm, _ := r.Config["SECURE_HASH_ALGORITHM"].(string)
	algorithm = strings.ToLower(algorithm[strings.LastIndexByte(algorithm, '.')+1:])
	k, err := NewKnoxHash(version, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Tokens that Knox accepted match. Tokens that Knox rejected as invalid do not match, unless other
// columns decided.
func TestKnoxVectors(t *testing.T) {
	matched := 0
	for _, r := range knoxRows(t) {
		k := r.hash(t)
		got := k.matches(r.Token, r.Row)
		if got {
			matched++
		}
		if r.Expect.OK && !got {
			t.Errorf("%s (%s): refused", r.Kind, r.Note)
		}
		if r.Case == "altered token" && !r.Expect.OK && got {
			t.Errorf("%s (%s): accepted", r.Kind, r.Note)
		}
	}
	if matched < 50 {
		t.Errorf("%d rows matched", matched)
	}
}

// A row never matches with the release or algorithm of another.
func TestKnoxLabels(t *testing.T) {
	t.Run("attack_046_by_label", func(t *testing.T) {
		all := map[string]KnoxHash{}
		for _, r := range knoxRows(t) {
			k := r.hash(t)
			all[strings.Join(strings.Split(r.Kind, "/")[:2], "/")] = k
		}
		for _, r := range knoxRows(t) {
			if !r.Expect.OK {
				continue
			}
			matches := 0
			for _, k := range all {
				if k.version == r.hash(t).version {
					continue
				}
				if k.matches(r.Token, r.Row) {
					matches++
				}
			}
			if matches > 0 {
				t.Errorf("%s matches by %d other releases", r.Kind, matches)
			}
		}
	})
	for _, bad := range []string{"md5", "sha1", "SHA512", "none"} {
		if _, err := NewKnoxHash(Knox5, bad); err == nil {
			t.Errorf("%s: taken", bad)
		}
	}
	if _, err := NewKnoxHash(0, ""); err == nil {
		t.Error("no version: taken")
	}
	var zero KnoxHash
	if zero.Matches("00", "", "") {
		t.Error("the zero KnoxHash matches")
	}
	k, err := NewKnoxHash(Knox42, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Digest("no hex", ""); err == nil {
		t.Error("a token that is no hex")
	}
}
