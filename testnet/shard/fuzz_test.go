package shard

import (
	"bytes"
	"testing"
)

func FuzzStep(f *testing.F) {
	f.Add(step{now: 5, last: true, parcels: []Parcel{{From: 1, To: 2, At: 7, Lane: 3, N: 4, Data: []byte("x")}}}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeStep(b)
		if err != nil {
			return
		}
		again, err := decodeStep(s.encode())
		if err != nil || again.now != s.now || len(again.parcels) != len(s.parcels) || !bytes.Equal(again.encode(), s.encode()) {
			t.Errorf("%x is read as %+v, then as %+v: %v", b, s, again, err)
		}
	})
}
