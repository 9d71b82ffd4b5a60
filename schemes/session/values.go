package session

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"
)

// Values have an encoding of their own. Unlike JSON it keeps their Go types, and unlike gob it
// needs no registration and is short for common types. A value is a type followed by its content:
//
//	type    one byte; for a slice followed by the type of its elements, for a map by those
//	        of its keys and elements
//	content integers as varints, floats as their bits, text and bytes with their
//	        length, time in the format of time.Time.MarshalBinary, slices and maps with their
//	        length plus one (0 is nil), any as a value of its own
//
// Types that the program registered with gob.Register, as gorilla's own stores require, are encoded
// with package gob: tagGob is followed by the length of the gob stream and the stream.
//
// The entries of maps are ordered by their encoded keys, so that equal values have equal encodings.

// form is the first byte of encoded data.
const form = 1

// maxDepth is the largest depth of nested slices and maps.
const maxDepth = 16

type tag = byte

const (
	tagAny tag = iota
	tagNil
	tagBool
	tagInt
	tagInt8
	tagInt16
	tagInt32
	tagInt64
	tagUint
	tagUint8
	tagUint16
	tagUint32
	tagUint64
	tagFloat32
	tagFloat64
	tagString
	tagBytes
	tagTime
	tagSlice
	tagMap
	tagDuration
	tagGob
)

var scalars = [...]reflect.Type{
	tagAny:  reflect.TypeFor[any](),
	tagBool: reflect.TypeFor[bool](),
	tagInt:  reflect.TypeFor[int](), tagInt8: reflect.TypeFor[int8](), tagInt16: reflect.TypeFor[int16](),
	tagInt32: reflect.TypeFor[int32](), tagInt64: reflect.TypeFor[int64](),
	tagUint: reflect.TypeFor[uint](), tagUint8: reflect.TypeFor[uint8](), tagUint16: reflect.TypeFor[uint16](),
	tagUint32: reflect.TypeFor[uint32](), tagUint64: reflect.TypeFor[uint64](),
	tagFloat32: reflect.TypeFor[float32](), tagFloat64: reflect.TypeFor[float64](),
	tagString: reflect.TypeFor[string](), tagBytes: reflect.TypeFor[[]byte](), tagTime: reflect.TypeFor[time.Time](),
	tagDuration: reflect.TypeFor[time.Duration](),
}

var (
	errData = errors.New("session: the stored data cannot be decoded")
	errDeep = fmt.Errorf("session: Save: value nested too deep (at most %d levels)", maxDepth)
)

// encode returns the encoded values, or nil if there are none.
func encode(values map[any]any) ([]byte, error) {
	if len(values) == 0 {
		return nil, nil
	}
	return appendContent([]byte{form}, reflect.ValueOf(values), 0)
}

func appendType(b []byte, t reflect.Type, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	if i := slices.Index(scalars[:], t); i >= 0 {
		return append(b, tag(i)), nil
	}
	if t.Name() == "" {
		switch t.Kind() {
		case reflect.Slice:
			return appendType(append(b, tagSlice), t.Elem(), depth+1)
		case reflect.Map:
			b, err := appendType(append(b, tagMap), t.Key(), depth+1)
			if err != nil {
				return nil, err
			}
			return appendType(b, t.Elem(), depth+1)
		}
	}
	return nil, typeError{t}
}

// typeError is the error for a value of an unsupported type.
type typeError struct{ reflect.Type }

func (e typeError) Error() string {
	return fmt.Sprintf("session: Save: unsupported type %s (bool, integers, floats, string, []byte, time.Time, time.Duration, slices and maps of these, and types registered with gob.Register)", e.Type)
}

func appendValue(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if !v.IsValid() || v.IsNil() { // an interface value
		return append(b, tagNil), nil
	}
	v = v.Elem()
	typed, err := appendType(b, v.Type(), depth)
	if other := (typeError{}); errors.As(err, &other) {
		return appendGob(b, v, other)
	}
	if err != nil {
		return nil, err
	}
	return appendContent(typed, v, depth)
}

// appendGob appends a value of a registered type. For another type it returns the typeError.
func appendGob(b []byte, v reflect.Value, other typeError) ([]byte, error) {
	value := v.Interface()
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(&value); err != nil {
		return nil, fmt.Errorf("%w: %w", other, err)
	}
	// A pointer to a registered type would be decoded as the value that it points to.
	var again any
	if err := gob.NewDecoder(bytes.NewReader(out.Bytes())).Decode(&again); err != nil || reflect.TypeOf(again) != v.Type() {
		return nil, other
	}
	b = binary.AppendUvarint(append(b, tagGob), uint64(out.Len()))
	return append(b, out.Bytes()...), nil
}

func appendContent(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	switch v.Kind() {
	case reflect.Interface:
		return appendValue(b, v, depth+1)
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(b, v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return binary.AppendUvarint(b, v.Uint()), nil
	case reflect.Float32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v.Float()))), nil
	case reflect.Float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float())), nil
	case reflect.String:
		return append(binary.AppendUvarint(b, uint64(v.Len())), v.String()...), nil
	case reflect.Struct: // only time.Time
		text, err := v.Interface().(time.Time).MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("session: %w", err)
		}
		return append(binary.AppendUvarint(b, uint64(len(text))), text...), nil
	}
	if v.IsNil() {
		return append(b, 0), nil
	}
	b = binary.AppendUvarint(b, uint64(v.Len())+1)
	switch {
	case v.Type() == scalars[tagBytes]:
		return append(b, v.Bytes()...), nil
	case v.Kind() == reflect.Map:
		return appendMap(b, v, depth)
	}
	var err error
	for i := range v.Len() {
		if b, err = appendContent(b, v.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendMap(b []byte, v reflect.Value, depth int) ([]byte, error) {
	entries := make([][2][]byte, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		key, err := appendContent(nil, it.Key(), depth+1)
		if err != nil {
			return nil, err
		}
		value, err := appendContent(nil, it.Value(), depth+1)
		if err != nil {
			return nil, err
		}
		entries = append(entries, [2][]byte{key, value})
	}
	slices.SortFunc(entries, func(x, y [2][]byte) int { return bytes.Compare(x[0], y[0]) })
	for _, e := range entries {
		b = append(append(b, e[0]...), e[1]...)
	}
	return b, nil
}
