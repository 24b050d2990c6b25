#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What people and their programs use, against the real module: the library's examples as they are, a
# client with the habits of 2022, devices named in every way, and the service that stretches a store.
# vm: timeout=300
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 70

origin=/dev/vdb store=/dev/vdc
export LD_LIBRARY_PATH=/host/build/lib PATH=$PATH:/host/build/examples

same()
{
	[[ $1 == "$2" ]] || { echo "'$1' is not '$2'"; return 1; }
}

# --- examples --------------------------------------------------------------------------------

# start_example COMMAND...: one that waits for Enter; its output is $work/said
start_example()
{
	mkfifo "$work/enter" || return
	: >"$work/said"
	"$@" <"$work/enter" >"$work/said" 2>&1 &
	example=$!
	later kill "$example"
	exec {enter}>"$work/enter"
}

says()
{
	wait_until 20 grep -qE "$1" "$work/said" || { cat "$work/said"; return 1; }
}

end_example()
{
	exec {enter}>&-
	rm "$work/enter"
	wait "$example" || { cat "$work/said"; return 1; }
}

no_snapshot()
{
	same "$(blksnap snapshot_collect)" ''
}

session_example()
{
	check 'session: it begins' start_example session $origin $store 0:262144
	check 'session: the image is shown' says "^/dev/blksnap-image0 shows $origin;"
	check 'session: its event thread is asked for storage' says '^storage for [0-9]+ sectors is wanted$'
	dd if=/dev/urandom of=$origin bs=64k count=4 seek=1 oflag=direct status=none
	check 'session: the image is old' same "$(head -c 1M "$(image_path)" | sha256sum)" "$zeroes"
	check 'session: it ends' end_example
	check 'session: with its snapshot' no_snapshot
}

image_path()
{
	echo /dev/blksnap-image0
}

trackers_example()
{
	trackers >"$work/said"
	check 'trackers: the device is listed' \
		grep -qE "^$origin: 16384 blocks of 65536 bytes, number 1 of generation [0-9a-f-]{36}\$" "$work/said"
	trackers $origin 8192:128 >"$work/said"
	check 'trackers: it is marked' same "$(cat "$work/said")" "8192:128 of $origin will be copied"
	trackers /dev/vde 8192:128 >"$work/said"
	check 'trackers: another one is not tracked' grep -q 'is not tracked' "$work/said"
}

changes_example()
{
	local generation

	generation=$(tracker_value $origin generationId)
	take_with_store $store 262144 $origin
	check 'changes: of this generation' same "$(changes $origin "$generation" 1)" \
		"128:512"$'\n'"8192:128"$'\n'"640 sectors; remember number 2 of generation $generation"
	check 'changes: of another one, all' same "$(changes $origin "$snapshot" 1 | head -1)" \
		"0:$(sectors_of $origin)"
	check 'changes: the command tells those of this generation' same "$(blksnap tracker_readcbtranges \
		--device $origin --generation "$generation" --since 1)" "128:512"$'\n'"8192:128"
	refuse 'changes: the command refuses another one' blksnap tracker_readcbtranges --device $origin \
		--generation "$snapshot" --since 1
	destroy
}

images_example()
{
	null_disk small 48 || return
	dd if=/dev/urandom of=/dev/small bs=1M count=8 oflag=direct status=none
	take_with_store $store 262144 /dev/small
	check 'images: copied' images "$snapshot" "$work"
	check 'images: each byte' cmp "$work/$(device_number /dev/small)" "$(image_of /dev/small)"
	check 'images: destroy' destroy
	refuse 'images: of no snapshot' images "$snapshot" "$work"
	images "$snapshot" "$work" 2>"$work/said"
	check 'images: says what to do' grep -q 'no such snapshot; list the snapshots' "$work/said"
}

c_example()
{
	check 'C: it begins' start_example c_api $origin $store 0 262144
	check 'C: the image is shown' says '^snapshot [0-9a-f-]{36}: image /dev/blksnap-image0$'
	check 'C: its callback is asked for storage' says "^$origin: storage for [0-9]+ sectors is wanted\$"
	check 'C: the tracker is listed' says "^tracked: $(device_number $origin), number 3\$"
	check 'C: the changes are listed' says '^changed: 128:512$'
	check 'C: it ends' end_example
	check 'C: with its snapshot' no_snapshot
}

# --- devices by any name ---------------------------------------------------------------------

# A device, named in some way, through each command that takes one.
through_all_commands()
{
	local way=$1 name=$2

	create "$name" || return
	check "$way: snapshot_create" same "$(blksnap tracker_collect | grep -c "^device=$number\$")" 1
	check "$way: tracker_markdirtyblock" blksnap tracker_markdirtyblock --device "$name" --ranges 0:8
	check "$way: snapshot_appendstorage" blksnap snapshot_appendstorage --id "$snapshot" \
		--device "$name" --range 131072:65536
	take
	check "$way: tracker_readcbtmap" blksnap tracker_readcbtmap --device "$name" --file "$work/map"
	check "$way: tracker_readcbtranges" blksnap tracker_readcbtranges --device "$name" --since 0
	destroy
	check "$way: tracker_remove" blksnap tracker_remove --device "$name"
}

names()
{
	mkfs.ext4 -q -L 'the label' /dev/vdd && mount_device /dev/vdd "$work/a mount" || return
	number=$(device_number /dev/vdd)
	through_all_commands 'mount point' "$work/a mount"
	through_all_commands UUID "UUID=$(lsblk -nro UUID /dev/vdd)"
	# While an image carries the label, too, it still means the original.
	# The store begins behind where a file system would be looked for: its first copy is block 0.
	create /dev/vdd && append $store 2048:262144 && take
	local held=$snapshot
	check 'LABEL: an image with the same label is no candidate' same \
		"$(blksnap snapshot_create --device 'LABEL=the label' 2>&1 | grep -c 'in another snapshot')" 1
	destroy "$held"
	check 'LABEL: tracker_remove' blksnap tracker_remove --device 'LABEL=the label'
	check 'major:minor: snapshot_create' create "$number"
	check 'major:minor: snapshot_destroy' destroy
	check 'major:minor: tracker_remove' blksnap tracker_remove --device "$number"
}

# --- stretching ------------------------------------------------------------------------------

files()
{
	find "$work/a mount" -name 'diff_storage#*' | wc -l
}

stretch()
{
	local service image at_cut

	parameter diff_storage_minimum 32768
	create $origin
	blksnap stretch_snapshot --id "$snapshot" --path "$work/a mount" --limit 256 >"$work/said" 2>&1 &
	service=$!
	later kill $service
	check 'stretch: the first file comes by itself' says 'diff_storage#0$'
	take
	image=$(image_of $origin)
	at_cut=$(sum_of "$image" count=64)
	dd if=/dev/urandom of=$origin bs=1M count=64 oflag=direct,dsync status=none
	check 'stretch: more files follow the writes' says 'diff_storage#3$'
	check 'stretch: the image lives' same "$(sum_of "$image" count=64)" "$at_cut"
	check 'stretch: the snapshot ends' destroy
	check 'stretch: and the service with it' wait $service
	check 'stretch: which says so' same "$(tail -2 "$work/said" | tr '\n' ' ')" \
		'The snapshot no longer exists. Stretch snapshot service finished. '
	check 'stretch: its files are gone' same "$(files)" 0
}

# --- the client of 2022 ----------------------------------------------------------------------

client()
{
	local line

	parameter diff_storage_minimum 65536
	blksnap tracker_remove --device $origin
	v1-client $origin $store >"$work/client"
	while read -r line; do
		case $line in
		'ok '*) ok "client: ${line#* - }" ;;
		'not ok '*) not_ok "client: ${line#* - }" ;;
		'#'*) diag "${line#\# }" ;;
		esac
	done <"$work/client"
}

dd if=/dev/zero of=$origin bs=1M count=4 oflag=direct status=none
zeroes=$(head -c 1M /dev/zero | sha256sum)
check 'the module loads' load_module
session_example
trackers_example
changes_example
images_example
c_example
names
stretch
client
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
