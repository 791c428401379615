package main

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // what people see is in their own time; the golden files are in this one
	os.Exit(m.Run())
}
