#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The life of a snapshot, seen from the command line: node, version, trackers, storage, take, image,
# change map, events, and the errors of each.
# vm: timeout=300
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 69

origin=/dev/vdb second=/dev/vdc store=/dev/vdd
store_sectors=$((256 * 2048))
region_mib=16 # What the test writes and compares; the whole disk would take its time.

# --- helpers ---------------------------------------------------------------------------------

fails_with()
{
	local text=$1 output

	shift
	output=$("$@" 2>&1) && { echo "succeeded: $output"; return 1; }
	grep -qiE "$text" <<<"$output" || { echo "says: $output"; return 1; }
}

node_has_mode()
{
	[[ $(stat -c '%F %a' "$1") == "$2" ]] || { stat "$1"; return 1; }
}

differ()
{
	[[ $1 != "$2" ]] || { echo "both are '$1'"; return 1; }
}

fill_random()
{
	dd if=/dev/urandom of="$1" bs=1M count=$region_mib seek="${2:-0}" oflag=direct status=none
}

region()
{
	sum_of "$1" count=$region_mib
}

queue()
{
	cat "/sys/block/${1#/dev/}/queue/$2"
}

# Two snapshots that write to the same sectors would overwrite each other's copies.
given_to_another()
{
	local other status

	other=$(blksnap snapshot_create --device "$second") || return
	! blksnap snapshot_appendstorage --id "$other" --device "$store" --range 8:8
	status=$?
	blksnap snapshot_destroy --id "$other" && blksnap tracker_remove --device "$second" && return "$status"
}

# --- load ------------------------------------------------------------------------------------

check 'the module loads' load_module diff_storage_minimum=$store_sectors
check 'the node has mode 0600' node_has_mode /dev/blksnap 'character special file 600'
check 'the class tells its major number' same \
	"$(cat /sys/class/blksnap/major)" "$((0x$(stat -c %t /dev/blksnap)))"
check 'version' grep -qxE '[0-9]+(\.[0-9]+){3}' <<<"$(blksnap version)"
check 'no tracker yet' same "$(blksnap tracker_collect | tr -d '\n')" 'count=0.'
check 'bad parameters are refused' fails_with 'error|invalid' \
	sh -c 'echo 0 >/sys/module/blksnap/parameters/cow_timeout_ms'

# --- create ----------------------------------------------------------------------------------

fill_random $origin
fill_random $second
check 'no tracker: take of nothing fails' fails_with 'no such|not found' \
	blksnap snapshot_take --id 11111111-2222-4333-8444-555555555555
check 'create' create $origin
first=$snapshot
check 'it prints a version 4 UUID' grep -qxE \
	'[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}' <<<"$first"
check 'the first portion of storage is asked for' grep -q \
	"^result=ok time=[0-9]* event=low_free_space requested_nr_sect=$store_sectors " <<<"$(event 0)"
check 'once only' same "$(event 100)" 'result=timeout '
check 'the device is tracked' same "$(tracker_value $origin device_capacity)" "$(blockdev --getsize64 $origin)"
check 'with blocks of 64 KiB' same "$(tracker_value $origin blk_size) $(tracker_value $origin blk_count)" \
	"65536 $(($(sectors_of $origin) / 128))"
check 'a second snapshot of it is refused' fails_with 'in another snapshot' blksnap snapshot_create --device $origin
check 'its tracker cannot be removed' fails_with 'a snapshot holds' blksnap tracker_remove --device $origin
check 'take without storage is refused' fails_with 'no diff storage' take
check 'storage beyond the end is refused' fails_with 'leaves the device' append $store "$(sectors_of $store):8"
check 'append' append $store 0:$store_sectors
check 'storage given twice is refused' fails_with 'overlaps' append $store 8:8
check 'storage of another snapshot is refused' given_to_another
check 'no map before the take' fails_with 'no taken snapshot' blksnap tracker_readcbtmap --device $origin --file "$work/none"

# --- take and image --------------------------------------------------------------------------

at_cut=$(region $origin)
check 'take' take
check 'second take is refused' fails_with 'taken before' take
image=$(image_of $origin)
check 'the image is number 0' same "$image" /dev/blksnap-image0
check 'and minor 0' same "$(device_number "$image" | cut -d: -f2)" 0
check 'its node belongs to root alone' node_has_mode "$image" 'block special file 600'
check 'it is as large as the origin' same "$(sectors_of "$image")" "$(sectors_of $origin)"
check 'it has the blocks of the origin' same \
	"$(blockdev --getss --getpbsz "$image")" "$(blockdev --getss --getpbsz $origin)"
check 'it offers no discard' same "$(queue "$image" discard_max_bytes)" 0
check 'no partitions are scanned on it' same "$(lsblk -nro NAME "$image" | wc -l)" 1
check 'it equals the origin' same "$(region "$image")" "$at_cut"
check 'the map is all zero' same "$(cbt_blocks $origin 0)" ''
check 'the number of the snapshot is 1' same "$(tracker_value $origin snap_number)" 1

# --- copy on write ---------------------------------------------------------------------------

overwrite()
{
	fill_random "$origin" && dd if=/dev/zero of="$origin" bs=512 count=3 seek=11 oflag=direct status=none
}
check 'the origin is overwritten' overwrite
changed=$(region $origin)
check 'so it differs' differ "$changed" "$at_cut"
check 'the image does not' same "$(region "$image")" "$at_cut"
check 'nor at a second look' same "$(region "$image")" "$at_cut"
check 'the readable map does not change' same "$(cbt_blocks $origin 0)" ''

write_image()
{
	dd if=/dev/urandom of="$work/new" bs=4k count=3 status=none &&
		dd if="$work/new" of="$image" bs=4k seek=1000 oflag=direct status=none &&
		dd if="$work/new" of="$image" bs=512 seek=20005 count=2 oflag=direct status=none
}
image_shows_writes()
{
	cmp "$work/new" <(dd if="$image" bs=4k skip=1000 count=3 iflag=direct status=none) &&
		cmp <(head -c 1024 "$work/new") <(dd if="$image" bs=512 skip=20005 count=2 iflag=direct status=none)
}
# The rest of the blocks that were written in part.
image_kept_neighbours()
{
	cmp "$work/before" <(dd if="$image" bs=512 skip=20000 count=5 iflag=direct status=none) &&
		cmp "$work/after" <(dd if="$image" bs=512 skip=20007 count=1 iflag=direct status=none)
}
dd if="$image" of="$work/before" bs=512 skip=20000 count=5 iflag=direct status=none
dd if="$image" of="$work/after" bs=512 skip=20007 count=1 iflag=direct status=none
check 'the image is written to' write_image
check 'it shows the writes' image_shows_writes
check 'and what was around them' image_kept_neighbours
check 'the origin does not see them' same "$(region $origin)" "$changed"
# 4 KiB block 1000 and sector 20005 are in blocks 62 and 156 of 64 KiB.
check 'image writes are marked' same "$(cbt_blocks $origin 0)" '62 156'
fill_random $origin
check 'origin writes do not replace them' image_shows_writes

# --- two snapshots ---------------------------------------------------------------------------

second_at_cut=$(region $second)
check 'a snapshot of another device' take_with_store /dev/vde $store_sectors $second
check 'its image is number 1' same "$(image_of $second)" /dev/blksnap-image1
check 'it equals that device' same "$(region /dev/blksnap-image1)" "$second_at_cut"
check 'it cannot have the store of the first' fails_with '.' append $store 0:8
check 'nor sectors of its origin' fails_with '.' append $origin 0:8
check 'both are listed' same "$(blksnap snapshot_collect | grep -c ^snapshot=)" 2
check 'each with its image' same "$(blksnap snapshot_collect | grep -c ^image_dev_id=)" 2
check 'the first is destroyed' destroy "$first"
check 'its node goes' wait_until 5 test ! -e /dev/blksnap-image0
check 'a second time there is none' fails_with 'no such' blksnap snapshot_destroy --id "$first"
check 'the other lives' same "$(region /dev/blksnap-image1)" "$second_at_cut"
check 'the tracker stays' same "$(tracker_value $origin blk_count)" "$(($(sectors_of $origin) / 128))"

# Numbers: what changed since snapshot 1 is above 1. All of the region was changed after it.
dd if=/dev/urandom of=$origin bs=64k count=1 seek=5000 oflag=direct status=none
check 'the next snapshot of the first device' take_with_store $store $store_sectors $origin
check 'gets the lowest free number' same "$(image_of $origin)" /dev/blksnap-image0
check 'and is number 2' same "$(tracker_value $origin snap_number)" 2
check 'the map names what changed since number 1' same "$(cbt_blocks $origin 1)" \
	"$(seq -s ' ' 0 $((region_mib * 16 - 1))) 5000"
event 0 >/dev/null # It asks for space.
check 'destroying ends a waiter' same \
	"$({ sleep 0.5; destroy >/dev/null; } & event 30000)" 'result=not found '
check 'wait for nothing' same "$(event 10)" 'result=not found '

# --- unload ----------------------------------------------------------------------------------

check 'a free tracker goes' blksnap tracker_remove --device $origin
check 'a second time there is none' fails_with 'no data|not tracked' blksnap tracker_remove --device $origin
check 'one tracker is left' same "$(blksnap tracker_collect | head -1)" count=1
check 'the module goes, with a snapshot held' unload_module
check 'its node is gone' test ! -e /dev/blksnap
check 'its image is gone' wait_until 5 test ! -e /dev/blksnap-image1
check 'the command says what is missing' fails_with 'blksnap' blksnap version
finish
