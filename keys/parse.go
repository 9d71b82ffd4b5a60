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

// Parse reads master keys from text or bytes: exactly 32 raw bytes are one key;
// otherwise each line that is not empty and does not begin with # holds one key
// of 64 hex digits, newest first. The error never quotes the input.
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
			return nil, fmt.Errorf("keys: line %d is not 64 hex digits", i+1)
		}
		masters = append(masters, k)
	}
	if len(masters) == 0 {
		return nil, errors.New("keys: want 32 raw bytes or lines of 64 hex digits")
	}
	return NewRing(masters...)
}

// ParseHex is Parse for a text, such as an environment variable: it takes lines of
// hex digits alone, since 32 characters that somebody typed are no key.
func ParseHex(text string) (*Ring, error) {
	if len(text) == Size {
		return nil, errors.New("keys: 32 characters are no key: want 64 hex digits")
	}
	return Parse([]byte(text))
}

// maxFile bounds what Load reads.
const maxFile = 64 << 10

// Load reads the master keys of a file, in the form that Parse takes. Who may read
// the file is not looked at: see CheckFile.
func Load(path string) (*Ring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("keys: %s is no key file", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return Parse(data)
}

// CheckFile returns an error, which says how to mend it, where others than its
// owner may read a file. A server's start, or its operator's check, asks it.
func CheckFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	return nil
}

// Create loads the master keys of the file at path, as Load does. Only if there is no such file it
// writes a new key, as 64 hex digits with mode 0600, and returns its ring with made = true. Several
// processes can call it at the same time: one creates the key and all use it.
//
// A file that exists is never changed, also if it holds no key: then the error is that of Load. Its
// folder may be read-only.
func Create(path string) (ring *Ring, made bool, err error) {
	ring, err = Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, false, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return nil, false, fmt.Errorf("keys: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = fmt.Fprintln(tmp, hex.EncodeToString(Generate()))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return nil, false, fmt.Errorf("keys: %w", err)
	}
	// A link fails where the name exists, and shows the whole file at once.
	err = os.Link(tmp.Name(), path)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, false, fmt.Errorf("keys: %w", err)
	}
	ring, loadErr := Load(path)
	return ring, err == nil, loadErr
}
