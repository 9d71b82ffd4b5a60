package session

import (
	"bytes"
	"encoding/gob"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestValues(t *testing.T) {
	registered()
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	want := map[any]any{
		"true": true, "false": false, "int": -42, 42: 43, int8(1): int8(-128), "i16": int16(math.MinInt16), "i32": int32(math.MaxInt32), "i64": int64(math.MinInt64),
		"uint": uint(7), "u8": uint8(255), "u16": uint16(9), "u32": uint32(9), "u64": uint64(math.MaxUint64),
		"f32": float32(0.1), "f64": 0.1, "inf": math.Inf(-1), "string": "a\x00ü\xff", "empty": "", "bytes": []byte{0, 1, 255}, "no bytes": []byte{}, "nil bytes": []byte(nil),
		"time": when, "nil": nil, "strings": []string{"a", ""}, "nil strings": []string(nil), "any": []any{1, "a", nil, []any{true}},
		"map": map[string]int{"a": 1, "b": 2}, "nil map": map[string]any(nil), "deep": map[string][]map[int]any{"x": {{1: "y"}, nil}},
		"edge_B15 duration": time.Minute, "durations": []time.Duration{1, 2}, "by duration": map[time.Duration]string{time.Second: "s"},
		"named": role("admin"), "named number": level(3), role("key"): true, "text": netip.MustParseAddr("192.0.2.1"), "struct": profile{"alice", 3}, "roles": []role{"a", "b"},
		"times": []time.Time{when}, "_flash": []any{"hello"}, true: "key", when.UTC(): "time key",
	}
	data, err := encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if gt := got["time"].(time.Time); !gt.Equal(when) {
		t.Errorf("time %v", gt)
	}
	for _, m := range []map[any]any{got, want} { // a zone without a name is another pointer
		delete(m, "time")
		delete(m, "times")
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	for range 20 {
		if again, err := encode(got); err != nil {
			t.Fatal(err)
		} else if first, _ := encode(want); !bytes.Equal(again, first) {
			t.Fatal("equal values are other bytes")
		}
	}
	for _, none := range []map[any]any{nil, {}} {
		if data, err := encode(none); err != nil || data != nil {
			t.Errorf("nothing is %v, %v", data, err)
		}
	}
	if got, err := decode(nil); err != nil || got == nil || len(got) != 0 {
		t.Errorf("no data are %v, %v", got, err)
	}
}

// Types that a gorilla program registers: a named string and number, a struct, and an
// encoding.TextMarshaler.
type (
	role    string
	level   int
	profile struct {
		Name  string
		Level int
	}
)

func registered() {
	gob.Register(role(""))
	gob.Register([]role{})
	gob.Register(level(0))
	gob.Register(profile{})
	gob.Register(netip.Addr{})
}

type named string

func TestValuesThatCanNotBeKept(t *testing.T) {
	loop := map[string]any{}
	loop["x"] = loop
	deep := any("x")
	for range 2 * maxDepth {
		deep = []any{deep}
	}
	for name, v := range map[string]any{
		"a type of the program": named("x"), "struct": struct{ A int }{1}, "pointer": new(int), "array": [2]int{}, "channel": make(chan int), "function": func() {},
		"error": []error{nil}, "slice of structs": []struct{}{{}}, "map of pointers": map[string]*int{}, "array key": map[any]any{[1]int{1}: 2},
		"loop": loop, "deep": deep, "bad time": time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 1<<30)),
	} {
		if data, err := encode(map[any]any{"k": v}); err == nil {
			t.Errorf("%s: kept as %v", name, data)
		} else if !strings.HasPrefix(err.Error(), "session: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := encode(map[any]any{named("k"): 1}); err == nil {
		t.Error("a key of a type of the program is kept")
	}
}

func TestDataThatCanNotBeRead(t *testing.T) {
	good, err := encode(map[any]any{"a": []any{1, "b", map[string]int{"x": 1}}, 2: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(good); i++ {
		if _, err := decode(good[:i]); err == nil {
			t.Errorf("half of it, %d bytes, is read", i)
		}
	}
	for name, data := range map[string][]byte{
		"another form": append([]byte{2}, good[1:]...), "more": append(bytes.Clone(good), 0), "one key twice": {form, 3, tagBool, 1, tagNil, tagBool, 1, tagNil},
		"huge map": {form, 0xff, 0xff, 0xff, 0xff, 0x7f}, "huge text": {form, 2, tagString, 0xff, 0xff, 0xff, 0xff, 0x7f}, "a slice as key": {form, 2, tagSlice, tagInt, 1, tagNil},
		"an any of any": {form, 2, tagAny, tagNil, tagNil}, "unknown type": {form, 2, 99, 0, tagNil}, "bool of 2": {form, 2, tagBool, 2, tagNil},
		"int8 of 300": {form, 2, tagInt8, 0xd8, 0x04, tagNil}, "slices of slices": append([]byte{form, 2}, bytes.Repeat([]byte{tagSlice}, 100)...),
	} {
		if got, err := decode(data); err == nil {
			t.Errorf("%s: read as %v", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, _ := encode(map[any]any{"a": []any{1, "b", map[string]int{"x": 1}}, 2: time.Now(), "f": 0.5})
	f.Add(good)
	f.Add([]byte{form, 2, tagSlice, tagInt, 1, tagNil})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decode(data)
		if err != nil {
			return
		}
		again, err := encode(got)
		if err != nil {
			t.Fatalf("what was read cannot be kept: %v", err)
		}
		if _, err := decode(again); err != nil {
			t.Fatalf("what was kept cannot be read: %v", err)
		}
	})
}
