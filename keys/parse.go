package keys

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Parse parses master keys, newest first. Data of exactly 32 bytes is one raw key. Otherwise each
// line holds one key in 64 hexadecimal digits; empty lines and lines that begin with # are skipped.
// It returns the errors of [NewRing], and an error for a malformed line. No error quotes the input.
func Parse(data []byte) (*Ring, error) {
	if len(data) == Size {
		return NewRing(data)
	}
	var masters [][]byte
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k, err := hex.DecodeString(line)
		if err != nil || len(k) != Size {
			return nil, fmt.Errorf("keys: Parse: line %d is not a key (64 hexadecimal digits)", i+1)
		}
		masters = append(masters, k)
	}
	if len(masters) == 0 {
		return nil, errors.New("keys: Parse: no key found (32 raw bytes, or lines of 64 hexadecimal digits)")
	}
	return NewRing(masters...)
}

// ParseHex is [Parse] for a text such as an environment variable. It accepts only hexadecimal
// digits. It rejects 32 raw bytes, because they could be a password of 32 characters instead of a
// random key.
func ParseHex(text string) (*Ring, error) {
	if len(text) == Size {
		return nil, errors.New("keys: ParseHex: 32 characters are not a key (64 hexadecimal digits)")
	}
	return Parse([]byte(text))
}

// maxFile is the maximum size of a key file in bytes.
const maxFile = 64 << 10

// Load reads the master keys from a file in the format of [Parse]. The file must be a regular file
// of at most 64 KiB. Load does not check the file's permissions; call [CheckFile] for that.
func Load(path string) (*Ring, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keys: Load: %w (create it once with: openssl rand -hex 32, or Create)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("keys: Load: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("keys: Load: %s is not a key file (a regular file of at most 64 KiB)", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keys: Load: %w", err)
	}
	ring, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("keys: Load: %s: %w", path, err)
	}
	return ring, nil
}

// CheckFile returns an error if anyone but the owner of a file has permissions on it. The error
// names the command that fixes them. Call it when a server starts.
func CheckFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("keys: CheckFile: other users can access %s (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	return nil
}

// Create loads the master keys from the file at path, as [Load] does. If the file does not exist,
// it writes a new key in 64 hexadecimal digits with mode 0600, and returns its ring with made =
// true. Several processes can call it at the same time: one creates the key and all use it.
//
// Create never changes an existing file. If the file has no key, it returns the error of Load. The
// directory of an existing file can be read-only.
func Create(path string) (ring *Ring, made bool, err error) {
	ring, err = Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, false, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return nil, false, fmt.Errorf("keys: Create: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = fmt.Fprintln(tmp, hex.EncodeToString(Generate()))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return nil, false, fmt.Errorf("keys: Create: %w", err)
	}
	// Link fails if the name exists, and other processes never see a partial file.
	err = os.Link(tmp.Name(), path)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, false, fmt.Errorf("keys: Create: %w", err)
	}
	ring, loadErr := Load(path)
	return ring, err == nil, loadErr
}
