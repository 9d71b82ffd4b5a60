package storagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// odd are valid texts that a store may handle incorrectly.
var odd = []string{
	"'", `"`, "' OR 1=1--", "%", "_", `\`, "a b", " lead", "trail ", "\t", "юлия", "田中", "ﬁ", "e\u0301", "\u00e9", "\u202eabc",
	"😀", "\u0001", "\u007f", "?", "$1", ":a", "@a", "NULL", "0", "-1", "true", "id-id", "a,b", "a;b", "--", "/*", "`", "\ufeff", "\U0010ffff",
}

// texts tests that unusual but valid texts are kept byte for byte.
func texts(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"attack_036_sql_in_names: odd texts come back byte for byte": func(k *kit) { k.keep(odd) },
		// The Big List of Naughty Strings, if VESTIBULE_VECTORS names its folder.
		"naughty_strings: naughty texts come back byte for byte": func(k *kit) { k.keep(naughty(k.T)) },
	})
}

// keep stores each text in every field that the store's parts have for texts, and reads it back.
func (k *kit) keep(list []string) {
	k.Helper()
	inTx := func(ctx context.Context, fn func(context.Context) error) error { return fn(ctx) }
	if k.has(Transactor) {
		inTx = k.s.InTx
	}
	k.must(inTx(k.ctx, func(ctx context.Context) error {
		for i, text := range list {
			u := storage.User{ID: text, Name: text, Email: text, Password: storage.PasswordHash(text), Active: true}
			err := k.s.CreateUser(ctx, u)
			for _, p := range textParts {
				if err == nil && k.has(p.part) {
					err = p.keep(k, ctx, text, i)
				}
			}
			if err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
		}
		return nil
	}))
	for i, text := range list {
		for _, p := range textParts {
			if k.has(p.part) {
				if got := p.read(k, text, i); got != "" {
					k.Errorf("%s: %q came back as %s", p.part, text, got)
				}
			}
		}
	}
	if k.has(Users) {
		if all, err := k.s.ListUsers(k.ctx, "", len(list)+1); err != nil || len(all) != len(list) {
			k.Errorf("%d accounts of %d, %v", len(all), len(list), err)
		}
	}
}

// textParts are the parts with fields for texts. keep stores a text. read reads it and returns the
// value if it differs; then it changes or deletes the record by the text.
var textParts = []struct {
	part Part
	keep func(k *kit, ctx context.Context, text string, i int) error
	read func(k *kit, text string, i int) string
}{
	{Users, func(*kit, context.Context, string, int) error { return nil }, func(k *kit, text string, _ int) string {
		u, err := k.s.UserByName(k.ctx, text)
		return differs(err, u.ID == text && u.Name == text && u.Email == text && string(u.Password) == text, u)
	}},
	{StaticTokens, func(k *kit, ctx context.Context, text string, i int) error {
		t := token(text, 0, i)
		t.KeyID = text
		return k.s.PutStaticToken(ctx, t, storage.Digest{})
	}, func(k *kit, text string, i int) string {
		t, u, err := k.s.StaticTokenByDigest(k.ctx, token(text, 0, i).Digest)
		return differs(err, u.ID == text && t.Subject == text && t.KeyID == text, t)
	}},
	{Permissions, func(k *kit, ctx context.Context, text string, _ int) error {
		return k.s.SetSubjectPermissions(ctx, text, []string{text})
	}, func(k *kit, text string, _ int) string {
		p, err := k.s.SubjectPermissions(k.ctx, text)
		return differs(err, len(p) == 1 && p[0] == text, p)
	}},
	{Credentials, func(k *kit, ctx context.Context, text string, i int) error {
		c := credential(text, 0, i)
		c.ID, c.Name = text, text
		_, err := k.s.CreateCredential(ctx, c, storage.CredentialLimit{Max: 1, Evict: true, Now: born})
		return err
	}, func(k *kit, text string, i int) string {
		c, u, err := k.s.CredentialByDigest(k.ctx, purpose, credential(text, 0, i).Digest)
		listed := len(k.credentialsLeft(text)) == 1
		err = errors.Join(err, k.s.DeleteCredential(k.ctx, purpose, text, text))
		return differs(err, listed && c.ID == text && c.Subject == text && c.Name == text && u.ID == text, c)
	}},
	{Families, func(k *kit, ctx context.Context, text string, i int) error {
		f := family(text, 0, i)
		f.ID, f.Purpose, f.Client, f.Confirm, f.Name = text, text, text, text, text
		if k.s.Clients != nil {
			if err := k.s.CreateClient(ctx, storage.Client{ID: text, Method: "none"}); err != nil {
				return err
			}
		}
		return k.s.CreateFamily(ctx, f, refresh(f, 0))
	}, func(k *kit, text string, i int) string {
		f := family(text, 0, i)
		f.ID = text
		st, err := k.s.RefreshByDigest(k.ctx, refresh(f, 0).Digest)
		list, listErr := k.s.ListFamilies(k.ctx, text, text, storage.FamilyPlace{}, 2)
		err = errors.Join(err, listErr, k.s.ClaimRefresh(k.ctx, claim(f, 0)), k.s.EndFamily(k.ctx, text, born))
		got := st.Family
		return differs(err, len(list) == 1 && got.ID == text && got.Purpose == text && got.Client == text && got.Confirm == text && got.Name == text && st.User.ID == text, got)
	}},
	{SigningKeys, func(k *kit, ctx context.Context, text string, _ int) error {
		key := signingKey(text, 0)
		key.Purpose, key.Algorithm, key.MasterID = text, text, text
		return k.s.CreateSigningKey(ctx, key, "")
	}, func(k *kit, text string, _ int) string {
		keys, err := k.s.ListSigningKeys(k.ctx, text)
		err = errors.Join(err, k.s.ExpireSigningKey(k.ctx, text, text, born))
		return differs(err, len(keys) == 1 && keys[0].ID == text && keys[0].Purpose == text && keys[0].Algorithm == text && keys[0].MasterID == text, keys)
	}},
	{Blocklist, func(k *kit, ctx context.Context, text string, _ int) error {
		return k.s.Block(ctx, born, storage.BlockKeyOf(storage.BlockJTI, text, text))
	}, func(k *kit, text string, _ int) string {
		u, st, err := k.s.TokenStatusWithUser(k.ctx, text, storage.BlockKeys{JTI: storage.BlockKeyOf(storage.BlockJTI, text, text)})
		return differs(err, u.ID == text && st.Blocked, st)
	}},
	{Sessions, func(k *kit, ctx context.Context, text string, i int) error {
		v := session(text, 0, i)
		v.ID, v.UserAgent, v.Address = text, text, text
		return k.s.CreateSession(ctx, v, none)
	}, func(k *kit, text string, i int) string {
		v, u, err := k.s.SessionByDigest(k.ctx, session(text, 0, i).Digest)
		return differs(err, v.ID == text && v.Subject == text && v.UserAgent == text && v.Address == text && u.ID == text, v)
	}},
}

// differs returns "" if there was no error and the text is the same.
func differs(err error, same bool, got any) string {
	if err != nil || !same {
		return fmt.Sprintf("%+v, %v", got, err)
	}
	return ""
}

// naughty reads the list, without duplicates and without texts that are not valid identifiers.
func naughty(t *testing.T) []string {
	if testing.Short() {
		t.Skip("hundreds of texts, one after the other")
	}
	dir := os.Getenv("VESTIBULE_VECTORS")
	text, err := os.ReadFile(filepath.Join(dir, "security", "naughty-strings", "blns.json"))
	if dir == "" || errors.Is(err, fs.ErrNotExist) {
		t.Skip("the naughty strings did not run: set VESTIBULE_VECTORS to the folder that holds security/naughty-strings")
	}
	var all, list []string
	if err := errors.Join(err, json.Unmarshal(text, &all)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range all {
		if storage.CheckID("text", s) == nil && !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	if len(list) < len(all)/2 {
		t.Errorf("%d naughty strings are left of %d", len(list), len(all))
	}
	return list
}
