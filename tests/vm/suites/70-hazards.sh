#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What breaks modules of this kind in the field, part one: bios that come back or come by the
# thousand, members that stand on each other, stores that lie on the origin.
# vm: timeout=480
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 19

store=/dev/vde
store_sectors=$((512 * 2048))

# --- 1: returning bios -----------------------------------------------------------------------

# A bio of 1 MiB on a queue of 4 KiB comes back 255 times as its own remainder; while gates close.
returning_bios()
{
	local kib=$1 origin=$2 load round old

	old=$(</sys/block/vdb/queue/max_sectors_kb)
	echo "$kib" >/sys/block/vdb/queue/max_sectors_kb || return
	start_load "$origin" --offset=2M --size=64M --bs=512k --iodepth=4
	for round in 1 2 3 4 5; do
		if ! { create /dev/vdb /dev/vdb1 && append "$store" 0:"$store_sectors" && limited_take && destroy; }; then
			round=failed
			break
		fi
	done
	echo "$old" >/sys/block/vdb/queue/max_sectors_kb
	stop_load "$load" && same "$round" 5
}

returning_content()
{
	local image

	echo 16 >/sys/block/vdb/queue/max_sectors_kb
	stamped-io fill /dev/vdb1 "$work/origin" --count 4096 >/dev/null
	cp "$work/origin" "$work/at-cut"
	start_stamped write /dev/vdb1 "$work/origin" --count 4096 --blocks 256 --depth 8 --seconds 600
	create /dev/vdb1 && append "$store" 0:"$store_sectors" && limited_take || return
	image=$(image_of /dev/vdb1)
	stamped-io learn "$image" "$work/at-cut" --count 4096 &&
		stamped-io read "$image" "$work/at-cut" --count 4096 --blocks 128 --seconds 3 || return
	stop_stamped && destroy && stamped-io check /dev/vdb1 "$work/origin" --count 4096
	local status=$?
	echo 1280 >/sys/block/vdb/queue/max_sectors_kb
	return "$status"
}

sfdisk --quiet /dev/vdb <<<$'label: gpt\nstart=2048, size=1048576' && udevadm settle
forget_partitions()
{
	wipefs --quiet --all --force /dev/vdb
	blockdev --rereadpt /dev/vdb
}
later forget_partitions

check 'the module loads' load_module drain_timeout_ms=20000
check 'split remainders: takes of disk and partition, through the disk' returning_bios 4 /dev/vdb
check 'split remainders: takes of disk and partition, through the partition' returning_bios 64 /dev/vdb1
check 'split remainders: constant content' returning_content

# --- 6: stacked members ----------------------------------------------------------------------

stacked_dm()
{
	local round

	dm_device stacked "0 $((64 * 2048)) linear /dev/vdc 4096" || return
	start_load /dev/mapper/stacked --size=32M
	local upper=$load
	start_load /dev/vdc --offset=128M --size=32M
	for round in 1 2 3; do
		create /dev/mapper/stacked /dev/vdc && append "$store" 0:"$store_sectors" && limited_take || return
		same "$(dd if="$(image_of /dev/vdc)" bs=1M skip=$((4096 * 512)) iflag=direct,skip_bytes count=4 status=none | md5sum)" \
			"$(dd if="$(image_of /dev/mapper/stacked)" bs=1M iflag=direct count=4 status=none | md5sum)" || return
		destroy || return
	done
	stop_load "$upper" && stop_load "$load"
}

stacked_loop()
{
	local round

	mkfs.ext4 -q /dev/vdd && mount_device /dev/vdd /mnt/lower && truncate -s 256M /mnt/lower/disk &&
		loop_device /mnt/lower/disk && mkfs.ext4 -q "$loop" && mount_device "$loop" /mnt/upper || return
	start_load /mnt/upper/file --size=16M
	sleep 1
	for round in 1 2 3; do
		create /dev/vdd "$loop" && append "$store" 0:"$store_sectors" && limited_take || return
		e2fsck -fn "$(image_of "$loop")" && e2fsck -fn "$(image_of /dev/vdd)" && destroy || return
	done
	stop_load
}

check 'stacked members: a dm device and its disk show the same instant' stacked_dm
check 'stacked members: a loop device and the disk with its file' stacked_loop
unmount /mnt/upper
losetup --detach "$loop"
unmount /mnt/lower

# --- 2: stores on covered sectors ------------------------------------------------------------

zeroes_at()
{
	cmp <(head -c "$3" /dev/zero) <(dd if="$1" iflag=direct,skip_bytes,count_bytes skip="$2" count="$3" bs=64k status=none)
}

store_on_origin()
{
	local image first=$((32 * 2048)) count=$((64 * 2048))

	stamped-io fill /dev/vdc "$work/origin" --count 32768 --seed 9 >/dev/null
	cp "$work/origin" "$work/at-cut"
	create /dev/vdc && append /dev/vdc $first:$count && take || return
	image=$(image_of /dev/vdc)
	check 'store on the origin: after the take it is refused' refuses_append
	# All copies go between the blocks that are checked.
	stamped-io write /dev/vdc "$work/origin" --count 8192 --seconds 4 --seed 10 >/dev/null
	check 'store on the origin: the image is right before it' stamped-io check "$image" "$work/at-cut" --count 8192
	check 'store on the origin: and behind it' stamped-io check "$image" "$work/at-cut" --first 24576 --count 8192
	check 'store on the origin: it reads as zeroes there' zeroes_at "$image" $((first * 512)) $((count * 512))
	check 'store on the origin: its writes are no changes' no_changes_in $((first / 128)) $((count / 128))
	check 'store on the origin: destroy' destroy
}

refuses_append()
{
	append /dev/vdc $((512 * 2048)):2048 && { echo 'accepted'; return 1; }
	dmesg | tail -3 | grep -q 'allocate before take, or elsewhere' &&
		! blksnap snapshot_appendstorage --id "$snapshot" --device /dev/vdc --range $((900 * 2048)):8
}

no_changes_in()
{
	local since

	since=$(tracker_value /dev/vdc snap_number)
	destroy && take_with_store "$store" "$store_sectors" /dev/vdc || return
	cbt_map /dev/vdc >"$work/bytes"
	# The writer's own changes are there, as a proof that it was looked at the right number.
	[[ $(gawk -v since="$since" 'NR <= 512 && $1 > since' "$work/bytes" | wc -l) -gt 0 ]] &&
		same "$(gawk -v since="$since" -v first="$1" -v end=$(($1 + $2)) \
			'NR > first && NR <= end && $1 > since' "$work/bytes" | wc -l)" 0
}

# A file found by its extents on the file system that is cut.
store_file()
{
	local image

	mkfs.ext4 -q /dev/vdd && mount_device /dev/vdd /mnt/origin && fallocate -l 64M /mnt/origin/store || return
	head -c 8M /dev/urandom >/mnt/origin/kept
	sync
	local sum
	sum=$(md5sum </mnt/origin/kept)
	create /dev/vdd && blksnap snapshot_appendstorage --id "$snapshot" --file /mnt/origin/store >/dev/null &&
		take || return
	image=$(image_of /dev/vdd)
	dd if=/dev/urandom of=/mnt/origin/kept bs=1M count=8 conv=notrunc,fsync status=none
	e2fsck -fn "$image" && mount_device "$image" /mnt/image -o ro,norecovery &&
		same "$(md5sum </mnt/image/kept)" "$sum" || return
	unmount /mnt/image
	fallocate -l 8M /mnt/origin/late || return
	! blksnap snapshot_appendstorage --id "$snapshot" --file /mnt/origin/late && destroy
}

store_on_origin
check 'store on the origin: a file, by its extents' store_file
unmount /mnt/origin

# --- 8: chained bios -------------------------------------------------------------------------

# 2 GiB of zeroes on a device that has no command for it: a chain of 2048 bios, each the parent of
# the one before. Nothing is kept by either device; only the chain matters.
chained_bios()
{
	null_disk chained 2048 memory_backed=0 && null_disk chainstore 3072 memory_backed=0 || return
	same "$(</sys/block/chained/queue/write_zeroes_max_bytes)" 0 || return
	blksnap snapshot_create --device /dev/chained >"$work/id" && snapshot=$(<"$work/id") || return
	later destroy_quietly "$snapshot"
	timeout $((100 * VM_SLOWDOWN)) blkdiscard --zeroout /dev/chained || { echo 'while tracked'; return 1; }
	append /dev/chainstore 0:$((3000 * 2048)) && take || return
	timeout $((200 * VM_SLOWDOWN)) blkdiscard --zeroout /dev/chained || { echo 'while held'; return 1; }
	dd if="$(image_of /dev/chained)" of=/dev/null bs=1M count=8 skip=1000 iflag=direct status=none || return
	destroy && blksnap tracker_remove --device /dev/chained
}
check 'chained bios by the thousand' chained_bios
remove_null_disk chained
remove_null_disk chainstore

# --- 3: stores that stand on the origin ------------------------------------------------------

stacked_store()
{
	dm_device above "0 65536 linear /dev/vdc 409600" && create /dev/vdc || return
	! append /dev/mapper/above 0:65536 || return
	dmesg | tail -n 3 | grep -q 'stands on vdc' && destroy && blksnap tracker_remove --device /dev/vdc || return
	# The other way round: the store is there first.
	take_with_store /dev/mapper/above 65536 /dev/vdd || return
	! blksnap snapshot_create --device /dev/vdc || return
	destroy && remove_dm_device above
}
check 'a store on a dm device above the origin is refused' stacked_store

# A loop device hides what it stands on: each copy is written to the origin and wants another copy. It
# ends with a lost image at the latest when nothing moves any more, never with a writer that hangs.
looping_store()
{
	mkfs.ext4 -q /dev/vdd && mount_device /dev/vdd /mnt/origin && fallocate -l 96M /mnt/origin/store &&
		loop_device /mnt/origin/store || return
	dd if=/dev/urandom of=/mnt/origin/file bs=1M count=64 conv=fsync status=none
	take_with_store "$loop" "$(sectors_of "$loop")" /dev/vdd || return
	timeout $((90 * VM_SLOWDOWN)) dd if=/dev/urandom of=/mnt/origin/file bs=1M count=64 conv=notrunc,fsync status=none ||
		{ echo 'a writer of the origin waits'; return 1; }
	timeout $((60 * VM_SLOWDOWN)) dd if="$(image_of /dev/vdd)" of=/dev/null bs=1M count=16 iflag=direct status=none
	[[ $? != 124 ]] || { echo 'a reader of the image waits'; return 1; }
	timeout $((90 * VM_SLOWDOWN)) sync --file-system /mnt/origin && destroy
}
parameter cow_timeout_ms 3000
check 'a store on a loop device above the origin ends' looping_store
losetup --detach "$loop"
unmount /mnt/origin
check 'and the file system is clean' e2fsck -fn /dev/vdd

check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
