#!/bin/sh
# sensor.sh FILE [SECONDS]: publishes what FILE says (a thermometer, a counter) as the presence of a thing, again
# whenever it has changed. It needs curl and a hum node that runs with --api:
#
#	hum up --api 127.0.0.1:0 &
#	sh docs/examples/sensor.sh /sys/class/thermal/thermal_zone0/temp
#
# The node writes the address and the token of its local API into control.json in its home, which only its owner can
# read. Each method of node/control/proto/hum/v1/control.proto is one POST of JSON. Who may watch: see hum policy.
set -eu
file=$1 pause=${2:-2} last=
home=${HUM_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/hum}
url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$home/control.json")
token=$(sed -n 's/.*"token":"\([^"]*\)".*/\1/p' "$home/control.json")

# call METHOD JSON; the token goes by a pipe, since anybody can read the arguments of a process.
call() {
	printf 'header = "Authorization: Bearer %s"\n' "$token" |
		curl -fsS -K - -H 'Content-Type: application/json' --data-binary "$2" "$url/hum.v1.ControlService/$1"
}

while :; do
	value=$(tr -cd 'A-Za-z0-9 .,:%+-' <"$file")
	if [ "$value" != "$last" ]; then
		call Set "{\"basic\": \"open\", \"bare\": true, \"measures\": {\"list\": [
			{\"name\": \"x.example.org/reading\", \"value\": \"$value\"}]}}"
		last=$value
	fi
	sleep "$pause"
done
