package testnet

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// CopyHome copies a node's home as it lies on the disk, and leaves the original alone. Called in the
// instant in which a node is killed it gives what the dead process leaves behind: everything that was
// written, synced or not, and nothing that the dying node still tries to write. It is what kill -9 does,
// not what a loss of power does. Holes in files stay holes.
func CopyHome(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case d.Type().IsRegular():
			return copyFile(name, filepath.Join(to, rel))
		}
		return nil // sockets
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	size, err := copySparse(out, in)
	if err != nil {
		return err
	}
	return out.Truncate(size)
}

var zeros [64 << 10]byte

func copySparse(out io.WriterAt, in io.Reader) (size int64, err error) {
	b := make([]byte, len(zeros))
	for {
		n, err := io.ReadFull(in, b)
		if n > 0 && !bytes.Equal(b[:n], zeros[:n]) {
			if _, err := out.WriteAt(b[:n], size); err != nil {
				return size, err
			}
		}
		size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
}
