package params

import (
	"bytes"
	"errors"
	"io"
)

// Body reads a body to its end. length is its Content-Length, or -1 if that is unknown. A body of the
// length that was announced is read into one allocation of that size, and others need about twice
// their size. The caller limits the reader.
func Body(r io.Reader, length int64) ([]byte, error) {
	const piece, most = 4 << 10, 1 << 20
	size := int64(piece)
	if length >= 0 && length < most {
		size = length + 1 // the end is read into the byte that is left
	}
	var parts [][]byte
	for {
		part := make([]byte, size)
		n, err := fill(r, part)
		switch {
		case err == nil:
			parts = append(parts, part)
		case !errors.Is(err, io.EOF):
			return nil, err
		case len(parts) == 0:
			return part[:n], nil
		default:
			return bytes.Join(append(parts, part[:n]), nil), nil
		}
		size = piece
	}
}

// fill reads until part is full. Unlike io.ReadFull it returns io.EOF at the end of the body, so that
// a body that was cut off (io.ErrUnexpectedEOF) is told apart.
func fill(r io.Reader, part []byte) (n int, err error) {
	for n < len(part) && err == nil {
		var m int
		m, err = r.Read(part[n:])
		n += m
	}
	return n, err
}
