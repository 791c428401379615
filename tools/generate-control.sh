#!/bin/sh
# Generates node/control/humv1 from node/control/proto. The Go plugins are the versions that go.mod
# pins as tools; protoc itself is Debian's package protobuf-compiler (3.21 or newer).
set -eu
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" google.golang.org/protobuf/cmd/protoc-gen-go connectrpc.com/connect/v2/cmd/protoc-gen-connect-go
protoc --plugin="$bin/protoc-gen-go" --plugin="$bin/protoc-gen-connect-go" -I node/control/proto \
	--go_out=. --go_opt=module=github.com/hum-presence/hum \
	--connect-go_out=. --connect-go_opt=module=github.com/hum-presence/hum --connect-go_opt=package_suffix \
	$(cd node/control/proto && echo hum/v1/*.proto)
