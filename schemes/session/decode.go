package session

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"math"
	"reflect"
	"time"
)

// decode returns the values that were passed to encode. It returns an error for data of another
// program or of a later version of this one.
func decode(data []byte) (map[any]any, error) {
	values := make(map[any]any)
	if len(data) == 0 {
		return values, nil
	}
	d := decoder{data[1:]}
	v := reflect.ValueOf(&values).Elem()
	if data[0] != form || !d.content(v, 0) || len(d.rest) > 0 || values == nil {
		return nil, errData
	}
	return values, nil
}

type decoder struct{ rest []byte }

func (d *decoder) take(n uint64) ([]byte, bool) {
	if n > uint64(len(d.rest)) {
		return nil, false
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b, true
}

func (d *decoder) uvarint() (uint64, bool) {
	x, n := binary.Uvarint(d.rest)
	if n <= 0 {
		return 0, false
	}
	d.rest = d.rest[n:]
	return x, true
}

func (d *decoder) kind(depth int) (reflect.Type, bool) {
	b, ok := d.take(1)
	if !ok || depth > maxDepth {
		return nil, false
	}
	switch b[0] {
	case tagSlice:
		elem, ok := d.kind(depth + 1)
		if !ok {
			return nil, false
		}
		return reflect.SliceOf(elem), true
	case tagMap:
		key, ok := d.kind(depth + 1)
		if !ok || !key.Comparable() {
			return nil, false
		}
		elem, ok := d.kind(depth + 1)
		if !ok {
			return nil, false
		}
		return reflect.MapOf(key, elem), true
	}
	if int(b[0]) >= len(scalars) || scalars[b[0]] == nil {
		return nil, false
	}
	return scalars[b[0]], true
}

// content decodes a value of v's type into v.
func (d *decoder) content(v reflect.Value, depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch v.Kind() {
	case reflect.Interface:
		return d.any(v, depth+1)
	case reflect.Bool:
		b, ok := d.take(1)
		if !ok || b[0] > 1 {
			return false
		}
		v.SetBool(b[0] == 1)
		return true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		x, n := binary.Varint(d.rest)
		if n <= 0 || v.OverflowInt(x) {
			return false
		}
		d.rest = d.rest[n:]
		v.SetInt(x)
		return true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		x, ok := d.uvarint()
		if !ok || v.OverflowUint(x) {
			return false
		}
		v.SetUint(x)
		return true
	case reflect.Float32:
		b, ok := d.take(4)
		if ok {
			v.Set(reflect.ValueOf(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		}
		return ok
	case reflect.Float64:
		b, ok := d.take(8)
		if ok {
			v.SetFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
		return ok
	}
	n, ok := d.uvarint()
	if !ok {
		return false
	}
	switch v.Kind() {
	case reflect.String:
		b, ok := d.take(n)
		v.SetString(string(b))
		return ok
	case reflect.Struct:
		b, ok := d.take(n)
		var t time.Time
		if !ok || t.UnmarshalBinary(b) != nil {
			return false
		}
		v.Set(reflect.ValueOf(t))
		return true
	}
	if n == 0 {
		return true // nil
	}
	if n--; n > uint64(len(d.rest)) { // each element has at least one byte
		return false
	}
	switch {
	case v.Type() == scalars[tagBytes]:
		b, ok := d.take(n)
		v.SetBytes(append([]byte{}, b...))
		return ok
	case v.Kind() == reflect.Map:
		return d.entries(v, int(n), depth)
	}
	v.Set(reflect.MakeSlice(v.Type(), int(n), int(n)))
	for i := range int(n) {
		if !d.content(v.Index(i), depth+1) {
			return false
		}
	}
	return true
}

func (d *decoder) any(v reflect.Value, depth int) bool {
	if len(d.rest) > 0 && d.rest[0] == tagNil {
		d.rest = d.rest[1:]
		return true
	}
	if len(d.rest) > 0 && d.rest[0] == tagGob {
		d.rest = d.rest[1:]
		return d.gob(v)
	}
	t, ok := d.kind(depth)
	if !ok || t.Kind() == reflect.Interface {
		return false
	}
	inner := reflect.New(t).Elem()
	if !d.content(inner, depth) {
		return false
	}
	v.Set(inner)
	return true
}

func (d *decoder) entries(v reflect.Value, n, depth int) bool {
	v.Set(reflect.MakeMapWithSize(v.Type(), n))
	for range n {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if !d.content(key, depth+1) || !key.Comparable() || !d.content(value, depth+1) || v.MapIndex(key).IsValid() {
			return false
		}
		v.SetMapIndex(key, value)
	}
	return true
}

// gob decodes a value of a type that the program registered with package gob.
func (d *decoder) gob(v reflect.Value) bool {
	n, ok := d.uvarint()
	if !ok {
		return false
	}
	b, ok := d.take(n)
	if !ok {
		return false
	}
	var value any
	stream := bytes.NewReader(b)
	if gob.NewDecoder(stream).Decode(&value) != nil || value == nil || stream.Len() > 0 {
		return false
	}
	v.Set(reflect.ValueOf(value))
	return true
}
