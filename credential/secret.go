package credential

import (
	"crypto/subtle"
	"fmt"
	"log/slog"

	"github.com/vestibule-auth/vestibule/storage"
)

// Secret is a text that must not reach a log, an error or an answer, such as a token that was
// just created. Every way to print, log or marshal it gives "[redacted]"; [Secret.Reveal]
// returns the text. For a struct with
// several secrets embed [Redacted].
type Secret string

// Reveal returns the text. Call it only where the secret is sent to its owner.
func (s Secret) Reveal() string { return string(s) }

// Digest returns the SHA-256 of the text, which is what a store keeps. The secret must have
// at least 128 random bits: a digest of anything that a person chose can be guessed.
func (s Secret) Digest() storage.Digest { return storage.DigestOf(string(s)) }

// Equal reports whether text is the secret, in constant time for texts of its length.
func (s Secret) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(s), []byte(text)) == 1
}

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, verb rune) { Redacted{}.Format(f, verb) }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return Redacted{}.LogValue() }

// MarshalText returns "[redacted]", for encoding/json and other encoders.
func (Secret) MarshalText() ([]byte, error) { return Redacted{}.MarshalText() }

// Redacted makes a struct that embeds it print as "[redacted]", whatever prints, logs or
// marshals it. Use it for a struct with several secrets, such as a pair of tokens.
type Redacted struct{}

const redacted = "[redacted]"

// String returns "[redacted]".
func (Redacted) String() string { return redacted }

// GoString returns "[redacted]".
func (Redacted) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (Redacted) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns "[redacted]".
func (Redacted) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", for encoding/json and other encoders.
func (Redacted) MarshalText() ([]byte, error) { return []byte(redacted), nil }
