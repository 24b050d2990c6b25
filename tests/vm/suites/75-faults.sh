#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What breaks modules of this kind in the field, part two: writes from before the tracker, bios beyond
# the end, copies that fail under a reader, readers that are throttled.
# vm: timeout=480
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 8

store=/dev/vde
store_sectors=$((512 * 2048))

check 'the module loads' load_module

# --- 7: in flight since before the attach ----------------------------------------------------

# Writes that dm-delay holds for 400 ms when tracker and snapshot come.
in_flight_before()
{
	local image

	stamped-io fill /dev/vdc "$work/origin" --count 4096 --seed 11 >/dev/null
	cp "$work/origin" "$work/at-cut"
	dm_device slow "0 $((64 * 2048)) delay /dev/vdc 0 0 /dev/vdc 0 400" || return
	start_stamped write /dev/mapper/slow "$work/origin" --count 4096 --depth 64 --seconds 600
	sleep 1.5
	create /dev/mapper/slow && append "$store" 0:"$store_sectors" && limited_take || return
	image=$(image_of /dev/mapper/slow)
	stamped-io learn "$image" "$work/at-cut" --count 4096 &&
		sleep 2 && stamped-io check "$image" "$work/at-cut" --count 4096 || return
	stop_stamped && destroy && remove_dm_device slow
}
# The same with the tracker below: the writes are known to dm only.
in_flight_above()
{
	local image

	stamped-io fill /dev/vdc "$work/origin" --count 4096 --seed 12 >/dev/null
	cp "$work/origin" "$work/at-cut"
	dm_device slow "0 $((64 * 2048)) delay /dev/vdc 0 0 /dev/vdc 0 400" || return
	start_stamped write /dev/mapper/slow "$work/origin" --count 4096 --depth 64 --seconds 600
	sleep 1.5
	create /dev/vdc && append "$store" 0:"$store_sectors" && limited_take || return
	image=$(image_of /dev/vdc)
	stamped-io learn "$image" "$work/at-cut" --count 4096 &&
		sleep 2 && stamped-io check "$image" "$work/at-cut" --count 4096 || return
	stop_stamped && destroy && remove_dm_device slow
}
check 'writes in flight since before the attach' in_flight_before
check 'writes that dm holds above the tracked disk' in_flight_above

# --- 13: beyond the end ----------------------------------------------------------------------

# An upper device that believes in sectors that the lower one lost: what it sends there fails, as it
# would without us, and costs no image. One of the writes begins inside.
beyond_the_end()
{
	local image end=$((65536 * 512))

	dm_device lower "0 131072 linear /dev/vdc 0" && dm_device upper "0 131072 linear /dev/mapper/lower 0" &&
		dm_reload lower "0 65536 linear /dev/vdc 0" || return
	stamped-io fill /dev/mapper/lower "$work/at-cut" --seed 13 >/dev/null
	take_with_store "$store" "$store_sectors" /dev/mapper/lower || return
	image=$(image_of /dev/mapper/lower)
	refuses_write $((end + 65536)) 4096 && refuses_write $((end - 65536)) 131072 &&
		not_lost && stamped-io check "$image" "$work/at-cut" &&
		stamped-io check /dev/mapper/lower "$work/at-cut" &&
		destroy && remove_dm_device upper && remove_dm_device lower
}
refuses_write()
{
	! dd if=/dev/zero of=/dev/mapper/upper seek="$1" bs="$2" count=1 oflag=direct,seek_bytes status=none
}
check 'writes beyond the end' beyond_the_end

# --- 14: a copy that fails under a reader ----------------------------------------------------

# The SCSI disk fails reads of some sectors and takes writes to them: the copy fails, the write passes.
# A reader at the same time sees old data or an error.
failing_copy()
{
	local image opts=/sys/bus/pseudo/drivers/scsi_debug/opts

	scsi_disk medium_error_start=5000 medium_error_count=16 opts=0 || return
	stamped-io fill "$disk" "$work/origin" --seed 14 >/dev/null
	cp "$work/origin" "$work/at-cut"
	take_with_store "$store" "$store_sectors" "$disk" || return
	image=$(image_of "$disk")
	echo 2 >"$opts"
	# Blocks 625 and 626 are bad, so writes stay near, to meet them on a slow machine, too. The reader leaves
	# them out: it shall meet the loss, not them.
	stamped-io read "$image" "$work/at-cut" --first 640 --seconds 8 --allow-errors >"$work/reader" 2>&1 &
	local reader=$!
	sleep 1
	stamped-io write "$disk" "$work/origin" --first 616 --count 24 --seconds 5 --seed 15 ||
		{ kill "$reader"; return 1; }
	wait "$reader" || { cat "$work/reader"; return 1; }
	echo 0 >"$opts"
	grep -q 'errors=[1-9]' "$work/reader" || { echo 'the reader met no error'; return 1; }
	lost_with 61 && stamped-io check "$disk" "$work/origin" || return
	! dd if="$image" of=/dev/null bs=4k count=1 iflag=direct status=none || return
	destroy && blksnap tracker_remove --device "$disk" && modprobe -r scsi_debug
}
check 'a failed copy: errors, never wrong data; the writer meets none' failing_copy

# --- a throttled reader ----------------------------------------------------------------------

# stamped-io as a member of the group whose reads of the origin are limited.
held_reader()
{
	(
		echo "$BASHPID" >/sys/fs/cgroup/slow/cgroup.procs
		exec stamped-io read "$@" --count 4096 --blocks 4
	)
}

# Reads of the image wait in io.max of the origin while writers change the blocks under them.
throttled_reader()
{
	local image group=/sys/fs/cgroup/slow

	grep -qw io /sys/fs/cgroup/cgroup.controllers || return
	echo +io >/sys/fs/cgroup/cgroup.subtree_control && mkdir -p "$group" || return
	later rmdir "$group"
	stamped-io fill /dev/vdc "$work/origin" --count 4096 --seed 16 >/dev/null
	cp "$work/origin" "$work/at-cut"
	echo "$(device_number /dev/vdc) riops=20" >"$group"/io.max || return
	take_with_store "$store" "$store_sectors" /dev/vdc || return
	image=$(image_of /dev/vdc)
	# While no block has been copied every read is one of the origin. If they were not held, the
	# rest would show nothing.
	held_reader "$image" "$work/at-cut" --seconds 2 >"$work/reader" || return
	(($(sed -n 's/.*requests=\([0-9]*\).*/\1/p' "$work/reader") < 200)) || { cat "$work/reader"; return 1; }
	held_reader "$image" "$work/at-cut" --seconds 8 >"$work/reader" 2>&1 &
	local reader=$!
	sleep 1
	stamped-io write /dev/vdc "$work/origin" --count 4096 --seconds 5 --seed 17 || return
	wait "$reader" || { cat "$work/reader"; return 1; }
	stamped-io check "$image" "$work/at-cut" --count 4096 && not_lost && destroy
}
check 'a reader held by io.max sees old data' throttled_reader

check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
