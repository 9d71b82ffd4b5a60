package params

import (
	"errors"
	"mime"
)

// MaxMediaType is how long a media type with its parameters may be, in bytes. The longest boundary
// has 70 (RFC 2046, section 5.1.1), and no type that is accepted here has more than 33.
const MaxMediaType = 256

// ErrLongMediaType rejects a media type of more than MaxMediaType bytes.
var ErrLongMediaType = errors.New("params: the media type is too long")

// MediaType is mime.ParseMediaType in bounded time and memory. Use it for every Content-Type that
// somebody else sends: a header can have a megabyte, and each of its parameters costs a hundred
// times its length. It returns ErrLongMediaType, or the error of mime.ParseMediaType.
func MediaType(header string) (kind string, parameters map[string]string, err error) {
	if len(header) > MaxMediaType {
		return "", nil, ErrLongMediaType
	}
	return mime.ParseMediaType(header)
}
