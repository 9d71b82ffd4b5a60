package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"unicode/utf16"
)

// unwrap returns the decoded forms of data, for each encoding that fits: quotes, data: URL, percent
// encoding, base64, hex and UTF-16.
func unwrap(data []byte) (inner [][]byte) {
	for _, decode := range []func([]byte) []byte{unQuote, unDataURL, unPercent, unBase64, unHex, unUTF16} {
		if out := decode(data); len(out) > 0 && !bytes.Equal(out, data) {
			inner = append(inner, out)
		}
	}
	return inner
}

// keyWithin finds a key in base64 that is part of data, such as the value of a setting. It does not
// search for points on curves, because random bytes look like one too often.
func keyWithin(data []byte) string {
	const shortest = 40 // every key in DER is longer
	for _, run := range bytes.FieldsFunc(data, func(r rune) bool { return !isBase64(r) }) {
		if len(run) < shortest {
			continue
		}
		if form := keyText(unBase64(run)); form != "" {
			return form
		}
	}
	return ""
}

func isBase64(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '+' || r == '/' || r == '-' || r == '_'
}

func unQuote(data []byte) []byte {
	n := len(data)
	if n < 2 || data[0] != data[n-1] || bytes.IndexByte([]byte("\"'`"), data[0]) < 0 {
		return nil
	}
	return data[1 : n-1]
}

// unDataURL returns the content of a data: URL (RFC 2397).
func unDataURL(data []byte) []byte {
	const scheme = "data:"
	if len(data) < len(scheme) || !bytes.EqualFold(data[:len(scheme)], []byte(scheme)) {
		return nil
	}
	kind, content, ok := bytes.Cut(data, []byte(","))
	if !ok {
		return nil
	}
	if plain := unPercent(content); plain != nil {
		content = plain
	}
	if bytes.HasSuffix(bytes.ToLower(bytes.TrimSpace(kind)), []byte(";base64")) {
		return unBase64(content)
	}
	return content
}

func unPercent(data []byte) []byte {
	if bytes.IndexByte(data, '%') < 0 {
		return nil
	}
	out, err := url.PathUnescape(string(data))
	if err != nil {
		return nil
	}
	return []byte(out)
}

func unBase64(data []byte) []byte {
	text := bytes.TrimRight(bytes.Join(bytes.Fields(data), nil), "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if out, err := encoding.AppendDecode(nil, text); err == nil {
			return out
		}
	}
	return nil
}

// unHex decodes hex with the separators that programs put around the bytes: "0x", `\x`, colons,
// commas, hyphens and spaces.
func unHex(data []byte) []byte {
	text := bytes.ToLower(data)
	for _, mark := range []string{"0x", `\x`, ":", ",", "-"} {
		text = bytes.ReplaceAll(text, []byte(mark), nil)
	}
	text = bytes.Join(bytes.Fields(bytes.Trim(text, "{}[]")), nil)
	out, err := hex.AppendDecode(nil, text)
	if err != nil {
		return nil
	}
	return out
}

// unUTF16 decodes UTF-16 with a byte order mark, as editors on Windows write it.
func unUTF16(data []byte) []byte {
	if len(data) < 2 || len(data)%2 != 0 {
		return nil
	}
	big := data[0] == 0xfe && data[1] == 0xff
	if !big && (data[0] != 0xff || data[1] != 0xfe) {
		return nil
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i < len(data); i += 2 {
		if big {
			units = append(units, uint16(data[i])<<8|uint16(data[i+1]))
		} else {
			units = append(units, uint16(data[i+1])<<8|uint16(data[i]))
		}
	}
	return []byte(string(utf16.Decode(units)))
}
