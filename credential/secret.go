package credential

import (
	"crypto/subtle"
	"fmt"
	"log/slog"

	"github.com/vestibule-auth/vestibule/storage"
)

// Secret is a text that must not be written to a log, an error or a response, such as a new token.
// It prints, logs and marshals as "[redacted]". [Secret.Reveal] returns the text. For a struct with
// several secrets, embed [Redacted].
type Secret string

// Reveal returns the text. Call it only to send the secret to its owner.
func (s Secret) Reveal() string { return string(s) }

// Digest returns the SHA-256 of the text, which can be stored. The secret must have at least 128
// random bits, because the digest of a text that a person chose can be guessed.
func (s Secret) Digest() storage.Digest { return storage.DigestOf(string(s)) }

// Equal reports whether text is the secret. For texts of the same length, the time does not depend
// on the text.
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

// Redacted makes a struct that embeds it print, log and marshal as "[redacted]". Use it for a
// struct with several secrets, such as a token pair.
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
