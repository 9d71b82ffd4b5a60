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

// odd are valid texts that a store may get wrong.
var odd = []string{
	"'", `"`, "' OR 1=1--", "%", "_", `\`, "a b", " lead", "trail ", "\t", "юлия", "田中", "ﬁ", "e\u0301", "\u00e9", "\u202eabc",
	"😀", "\u0001", "\u007f", "?", "$1", ":a", "@a", "NULL", "0", "-1", "true", "id-id", "a,b", "a;b", "--", "/*", "`", "\ufeff", "\U0010ffff",
}

// texts keeps odd but valid texts, byte for byte.
func texts(t *testing.T, open func(*testing.T) Store) {
	rules(t, open, map[string]func(*kit){
		"attack_036_sql_in_names": func(k *kit) { k.keep(odd) },
		// The Big List of Naughty Strings, where VESTIBULE_VECTORS names its folder.
		"naughty_strings": func(k *kit) { k.keep(naughty(k.T)) },
	})
}

// keep stores each text in all places and reads it back.
func (k *kit) keep(list []string) {
	k.Helper()
	k.must(k.s.InTx(k.ctx, func(ctx context.Context) error {
		for i, text := range list {
			u := storage.User{ID: text, Name: text, Email: text, Password: storage.PasswordHash(text), Active: true}
			if err := k.s.CreateUser(ctx, u); err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
			t := token(text, 0, i)
			t.KeyID = text
			if err := errors.Join(k.s.PutStaticToken(ctx, t, storage.Digest{}), k.s.SetSubjectPermissions(ctx, text, []string{text})); err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
			if err := k.keepLives(ctx, text, i); err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
		}
		return nil
	}))
	for i, text := range list {
		u, err := k.s.UserByName(k.ctx, text)
		if err != nil || u.ID != text || u.Name != text || u.Email != text || string(u.Password) != text {
			k.Errorf("%q came back as %q, %q, %q: %v", text, u.ID, u.Name, u.Email, err)
		}
		t, u, err := k.s.StaticTokenByDigest(k.ctx, token(text, 0, i).Digest)
		if err != nil || u.ID != text || t.Subject != text || t.KeyID != text {
			k.Errorf("the token of %q came back as one of %q, key %q: %v", text, t.Subject, t.KeyID, err)
		}
		if p, err := k.s.SubjectPermissions(k.ctx, text); err != nil || len(p) != 1 || p[0] != text {
			k.Errorf("permission %q came back as %q: %v", text, p, err)
		}
		k.readLives(text, i)
	}
	if all, err := k.s.ListUsers(k.ctx, "", len(list)+1); err != nil || len(all) != len(list) {
		k.Errorf("%d accounts of %d, %v", len(all), len(list), err)
	}
}

// keepLives stores a text in the records that end.
func (k *kit) keepLives(ctx context.Context, text string, i int) error {
	d, f, key := device(text, 0, i), family(text, 0, i), signingKey(text, 0)
	d.ID, d.Name = text, text
	f.ID, f.Purpose, f.Client, f.Confirm, f.Name = text, text, text, text, text
	key.Purpose, key.Algorithm, key.MasterID = text, text, text
	_, err := k.s.CreateDeviceToken(ctx, d, storage.DeviceLimit{Max: 1, Evict: true, Now: born})
	return errors.Join(err, k.s.CreateClient(ctx, storage.Client{ID: text, Method: "none"}), k.s.CreateFamily(ctx, f, refresh(f, 0)), k.s.AddSigningKey(ctx, key, ""),
		k.s.Block(ctx, born, storage.BlockKeyOf(storage.BlockJTI, text, text)))
}

// readLives reads them back, and changes them by that text.
func (k *kit) readLives(text string, i int) {
	k.Helper()
	d, u, err := k.s.DeviceTokenByDigest(k.ctx, device(text, 0, i).Digest)
	if err != nil || d.ID != text || d.Subject != text || d.Name != text || u.ID != text || len(k.devicesLeft(text)) != 1 {
		k.Errorf("the device token of %q came back as %+v: %v", text, d, err)
	}
	f := family(text, 0, i)
	f.ID = text
	st, err := k.s.RefreshByDigest(k.ctx, refresh(f, 0).Digest)
	list, listErr := k.s.ListFamilies(k.ctx, text, text, 2)
	if got := st.Family; err != nil || listErr != nil || len(list) != 1 || got.ID != text || got.Purpose != text || got.Client != text || got.Confirm != text || got.Name != text || st.User.ID != text {
		k.Errorf("the family of %q came back as %+v: %v, %v", text, got, err, listErr)
	}
	keys, err := k.s.ListSigningKeys(k.ctx, text)
	if err != nil || len(keys) != 1 || keys[0].ID != text || keys[0].Purpose != text || keys[0].Algorithm != text || keys[0].MasterID != text {
		k.Errorf("the key %q came back as %+v: %v", text, keys, err)
	}
	u, standing, err := k.s.UserStanding(k.ctx, text, storage.BlockKeys{JTI: storage.BlockKeyOf(storage.BlockJTI, text, text)})
	if err != nil || u.ID != text || !standing.Blocked {
		k.Errorf("the standing of %q is %+v, %+v: %v", text, u, standing, err)
	}
	k.must(errors.Join(k.s.ClaimRefresh(k.ctx, claim(f, 0)), k.s.EndFamily(k.ctx, text, born), k.s.ExpireSigningKey(k.ctx, text, text, born), k.s.DeleteDeviceToken(k.ctx, text, text)))
}

// naughty reads the list, each text once, without those that can be no identifier.
func naughty(t *testing.T) []string {
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
