package main

import (
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	const events = `not json
{"Action":"pass","Package":"m/vestibule/a","Test":"TestX/attack_001_one"}
{"Action":"pass","Package":"m/vestibule/b","Test":"TestX/attack_002_attack_003_two"}
{"Action":"fail","Package":"m/vestibule/b","Test":"TestY/attack_002_again"}
{"Action":"pass","Package":"m/vestibule/b","Test":"TestY/attack_004"}
{"Action":"skip","Package":"m/vestibule/b","Test":"TestZ/attack_004"}
{"Action":"run","Package":"m/vestibule/b","Test":"TestZ/attack_005"}
{"Action":"pass","Package":"m/vestibule/b","Test":"TestZ"}
`
	rows, failed, err := read(strings.NewReader(events))
	if err != nil || len(failed) != 1 || failed[0] != "m/vestibule/b TestY/attack_002_again" {
		t.Fatal(failed, err)
	}
	for n, want := range map[int]bool{1: true, 2: false, 3: true, 4: false, 5: false, 6: false} {
		if got := rows[n].covered(); got != want {
			t.Errorf("row %d: %t", n, got)
		}
	}
	required, later, err := parseRows("# x\n1-3 required\n6 required\n6 later because\n")
	if err != nil || len(required) != 3 || later[6] != "because" {
		t.Fatal(required, later, err)
	}
	var out strings.Builder
	if err := report(&out, rows, required, later); err == nil || !strings.HasSuffix(out.String(), "attacks covered 2 of 251\n") || !strings.Contains(out.String(), "row 002 must be covered") {
		t.Errorf("%v\n%s", err, out.String())
	}
	delete(required, 2)
	delete(rows, 2)
	if err := report(&out, rows, required, later); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"x required", "1", "0 required", "1-999 required"} {
		if _, _, err := parseRows(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, _, err := parseRows(rowsFile); err != nil {
		t.Error(err)
	}
}
