#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory is short and swap lies on a disk with a snapshot: who needs memory waits for a write to swap, and that
# write for a copy. Everything goes on, whatever the pools of copies are, and also when the store stops.
# vm: own-boot memory=256M disks=1G,2G timeout=900
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

need python3 mkswap
plan 44

raw=/dev/vdb1
swap=/dev/vdb2
files=/dev/vdb3
store_sectors=$((1900 * 2048))
hog_mib=340
step_pages=256
patience=100 # Seconds: emulation, on a machine that does other things too.

# --- who needs memory ------------------------------------------------------------------------

# Writes to more pages than the machine has, at random, and looks first whether each is as it was left. A byte
# goes to its report for every 256 pages; a page that is not ends it.
start_hog()
{
	python3 - "$hog_mib" "$step_pages" 9>"$work/hog" 2>"$work/hog.errors" <<'END' &
import os
import struct
import sys

pages, step = int(sys.argv[1]) * 256, int(sys.argv[2])
memory = bytearray(pages * 4096)
known = struct.Struct("<QQ")
values = bytearray(pages * 8)
value = 0
while True:
    for _ in range(step):
        # Until each was written once in a row; then far from each other.
        page = value if value < pages else value * 2654435761 % pages
        there = known.unpack_from(memory, page * 4096)
        wanted = struct.unpack_from("<Q", values, page * 8)[0]
        if there != ((page, wanted) if wanted else (0, 0)):
            sys.exit(f"page {page} has {there}, not {wanted}")
        value += 1
        known.pack_into(memory, page * 4096, page, value)
        struct.pack_into("<Q", values, page * 8, value)
    os.write(9, b".")
END
	hog=$!
	later kill -KILL "$hog"
}

hog_steps()
{
	stat -c %s "$work/hog"
}

hog_reached()
{
	kill -0 "$hog" && (($(hog_steps) >= $1))
}

# Return: whether it does some more steps in good time.
hog_goes_on()
{
	wait_until "$patience" hog_reached $(($(hog_steps) + ${1:-4})) && return
	cat "$work/hog.errors"
	grep -E '^(nr_free_pages|pswp|allocstall|oom)' /proc/vmstat
	return 1
}

pages_swapped_out()
{
	gawk '$1 == "pswpout" { print $2 }' /proc/vmstat
}

# Else the test would have shown nothing.
swapped_since()
{
	local pages=$(($(pages_swapped_out) - $1))

	((pages >= $2)) || { echo "only $pages pages"; return 1; }
	diag "$pages pages went to swap"
}

lay_out()
{
	sfdisk --quiet /dev/vdb <<<$'label: gpt\nstart=2048, size=131072\nsize=1048576\nsize=262144' && udevadm settle &&
		mkswap "$swap" && mkfs.ext4 -q "$files" && mount_device "$files" /mnt/files && swapon "$swap" &&
		later swapoff "$swap" && sysctl -q vm.swappiness=100
}

# --- rounds ----------------------------------------------------------------------------------

# Writers of all kinds beside the hog; each must be done in time.
raw_writes()
{
	timeout "$patience" stamped-io write "$raw" "$work/origin" --seconds 5 --depth 32 --seed "$1"
}

file_writes()
{
	timeout "$patience" dd if=/dev/urandom of=/mnt/files/"$1" bs=64k count=400 conv=fsync status=none
}

single_writes()
{
	timeout "$patience" fio --name=single --filename=/mnt/files/single --size=16M --direct=1 --ioengine=psync \
		--rw=randwrite --bs=4k --time_based --runtime=3 --output="$work/single"
}

begin_round()
{
	cp "$work/origin" "$work/at-cut"
	create "$raw" "$swap" "$files" && append "$store" "0:$store_sectors" && timeout "$patience" blksnap snapshot_take --id "$snapshot"
}

image_is_at_cut()
{
	stamped-io check "$(image_of "$raw")" "$work/at-cut" --depth 4
}

# Part of the image of swap, as one number; fails if it could not be read.
swap_image_sum()
(
	set -o pipefail
	timeout 120 dd if="$(image_of "$swap")" bs=256k count=256 iflag=direct status=none | md5sum
)

swap_image_is()
{
	local sum

	sum=$(swap_image_sum) && same "$sum" "$1"
}

# round NAME SEED: a snapshot under pressure, from take to destroy
round()
{
	local name=$1 before first

	check "$name: a take of disks in use" begin_round
	before=$(pages_swapped_out)
	first=$(swap_image_sum)
	check "$name: raw writes" raw_writes "$2"
	check "$name: writes of files" file_writes "$name"
	check "$name: single direct writes" single_writes
	check "$name: who needs memory goes on" hog_goes_on 16
	check "$name: pages went to swap meanwhile" swapped_since "$before" 1024
	check "$name: no image is lost" not_lost
	check "$name: the image is what it was" image_is_at_cut
	check "$name: so is that of swap" swap_image_is "$first"
	check "$name: destroy" destroy
	check "$name: who needs memory still goes on" hog_goes_on
}

check 'disks' lay_out
check 'what is to be overwritten' stamped-io fill "$raw" "$work/origin" --seed 1
start_hog
check 'memory becomes short' wait_until 180 hog_reached $((hog_mib * 256 / step_pages + 8))
check 'the module loads' load_module
store=/dev/vdc
round 'default pools' 2
parameter cow_memory_limit_kib 1024
parameter free_diff_buffer_pool_size 16
parameter parked_limit 4
check 'trackers go, so that all limits hold' remove_trackers
round 'smallest pools' 3
parameter cow_memory_limit_kib 32768
parameter free_diff_buffer_pool_size 128
parameter parked_limit 1024

# --- a store that stops ----------------------------------------------------------------------

stop_store()
{
	dmsetup suspend --nolockfs --noflush held
}

# Without the store there is room for so many copies only; then writes to swap wait, and all who need memory.
goes_on_without_store()
{
	hog_goes_on 64
}

check 'a store that can be stopped' dm_device held "0 $store_sectors linear /dev/vdc 0"
store=/dev/mapper/held
parameter cow_timeout_ms 3000
parameter cow_memory_limit_kib 1024
check 'stopped store: take' begin_round
check 'stopped store: raw writes' raw_writes 4
check 'stopped store: it stops' stop_store
check 'stopped store: raw writes go on' raw_writes 5
check 'stopped store: writes of files go on' file_writes stopped
check 'stopped store: who needs memory goes on' goes_on_without_store
check 'stopped store: an image is lost, for lack of progress' lost_with 110
check 'stopped store: it starts again' dmsetup resume held
check 'stopped store: destroy' destroy
check 'stopped store: the origin is what its writer says' stamped-io check "$raw" "$work/origin" --depth 4

check 'who needs memory found every page as it was' kill -0 "$hog"
{ kill -KILL "$hog" && wait "$hog"; } 2>/dev/null
check 'swap goes' timeout 120 swapoff "$swap"
check 'file system' unmount /mnt/files
check 'it is whole' e2fsck -fn "$files"
remove_dm_device held >/dev/null
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
