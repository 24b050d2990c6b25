#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A store that is full, fails or stops answering costs the image, never the origin: writes pass without
# an error and in bounded time, the image gives EIO and nothing else, an event says why.
# vm: timeout=300
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 32

origin=/dev/vdb other=/dev/vdc
timeout_ms=3000

image_write_fails()
{
	! dd if=/dev/zero of="$1" bs=4k count=1 oflag=direct status=none
}

# --- full ------------------------------------------------------------------------------------

full()
{
	local event

	stamped-io fill $origin "$work/origin" --count 16384 >/dev/null
	create $origin $other && append /dev/vdd 0:16384 && take || return
	start_load $other --size=4M
	local other_load=$load
	start_stamped write $origin "$work/origin" --count 16384 --seconds 600
	event=$(corrupted_event)
	check 'full: an event tells' grep -q "orig_dev_id=$(device_number $origin) " <<<"$event"
	check 'full: with ENOSPC' grep -q 'err_code=28 ' <<<"$event"
	check 'full: reads of the image fail' image_is_lost "$(image_of $origin)"
	check 'full: elsewhere in it, too' image_is_lost "$(image_of $origin)" 16000
	check 'full: writes to the image fail' image_write_fails "$(image_of $origin)"
	sleep 3
	check 'full: the writer of the origin met no error' stop_stamped
	check 'full: nor did fio' stop_load "$other_load"
	check 'full: the origin is what its writer says' stamped-io check $origin "$work/origin" --count 16384
	check 'full: each device tells once' not_lost $origin
	check 'full: destroy' destroy
}

# Space that comes in time keeps the image.
stretched()
{
	local image

	stamped-io fill $origin "$work/origin" --count 16384 --seed 5 >/dev/null
	cp "$work/origin" "$work/at-cut"
	create $origin && append /dev/vdd 0:32768 && take || return
	image=$(image_of $origin)
	event 0 >/dev/null
	stamped-io write $origin "$work/origin" --count 3000 --seconds 3 --seed 6 >/dev/null
	check 'stretched: half of the store used asks for more' grep -q event=low_free_space <<<"$(event 5000)"
	check 'stretched: append after the take' append /dev/vdd 65536:262144
	stamped-io write $origin "$work/origin" --count 16384 --seconds 5 --seed 7 >/dev/null
	check 'stretched: the image lives' stamped-io check "$image" "$work/at-cut" --count 16384
	check 'stretched: destroy' destroy
}

# --- failing ---------------------------------------------------------------------------------

failing()
{
	local size=$((128 * 2048)) event

	dm_device failing "0 $size linear /dev/vdd 0" || return
	stamped-io fill $origin "$work/origin" --count 8192 >/dev/null
	take_with_store /dev/mapper/failing $size $origin || return
	start_stamped write $origin "$work/origin" --count 8192 --seconds 600
	sleep 1
	check 'failing: the store begins to fail' dm_reload failing "0 $size error"
	event=$(corrupted_event)
	check 'failing: an event tells' grep -q "orig_dev_id=$(device_number $origin) err_code=5 " <<<"$event"
	check 'failing: reads of the image fail' image_is_lost "$(image_of $origin)"
	check 'failing: the writer met no error' stop_stamped
	check 'failing: the origin is what its writer says' stamped-io check $origin "$work/origin" --count 8192
	check 'failing: destroy' destroy
	check 'failing: the store is released' remove_dm_device failing
}

# --- not answering ---------------------------------------------------------------------------

# Writes that wait for buffers leave when nothing has moved for cow_timeout_ms. A small pool makes them
# wait soon.
hanging()
{
	local size=$((256 * 2048)) event begin

	dm_device hanging "0 $size linear /dev/vdd 0" || return
	stamped-io fill $origin "$work/origin" --count 16384 >/dev/null
	take_with_store /dev/mapper/hanging $size $origin || return
	dmsetup suspend --noflush --nolockfs hanging
	later dmsetup resume hanging
	begin=$SECONDS
	start_stamped write $origin "$work/origin" --count 16384 --seconds 600
	event=$(corrupted_event 60000)
	diag "lost after $((SECONDS - begin)) s"
	check 'hanging: an event tells' grep -q "orig_dev_id=$(device_number $origin) err_code=110 " <<<"$event"
	check 'hanging: after the time allowed, not sooner' test $((SECONDS - begin)) -ge $((timeout_ms / 1000))
	check 'hanging: writes go on' timeout $((20 * VM_SLOWDOWN)) bash -c "dd if=/dev/zero of=$origin bs=4k count=64 seek=20000 oflag=direct status=none"
	check 'hanging: reads of the image fail' image_is_lost "$(image_of $origin)"
	check 'hanging: the writer met no error' stop_stamped
	check 'hanging: the origin is what its writer says' stamped-io check $origin "$work/origin" --count 16384
	# Destroy waits for the store's own answers, no longer.
	{ sleep 2; dmsetup resume hanging; } &
	check 'hanging: destroy ends after the store answers' destroy
	wait $!
	check 'hanging: the store is released' remove_dm_device hanging
}

check 'the module loads' load_module cow_memory_limit_kib=4096
full
stretched
failing
parameter cow_timeout_ms $timeout_ms
hanging
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
