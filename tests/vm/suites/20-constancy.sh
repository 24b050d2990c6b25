#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# An image is constant, and is the origin of the cut: on raw devices without a file system, with
# writes in flight at the cut, on a disk and on a dm-linear device.
#
# The model is a writer whose blocks name the write they come from (tests/helpers/stamped-io.cpp).
# vm: timeout=480
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 42

store=/dev/vde
store_sectors=$(sectors_of $store)
area_mib=48
origins=(/dev/vdb /dev/mapper/constancy)

copy_of()
{
	dd if="$1" bs=1M count=$area_mib iflag=direct status=none
}

reads_like()
{
	cmp "$1" <(copy_of "$2")
}

# Anything written by fio at queue depth 32, from before the take to after the second reading.
constant_under_fio()
{
	local origin=$1 image

	start_load "$origin" --size=${area_mib}M
	create "$origin" && append $store 0:"$store_sectors" || return
	sleep 1
	check "$origin: take under fio" take
	image=$(image_of "$origin")
	copy_of "$image" >"$work/first"
	sleep 5
	check "$origin: two readings of the image are equal" reads_like "$work/first" "$image"
	check "$origin: fio met no error" stop_load
	check "$origin: the origin has moved on" differs_from "$work/first" "$origin"
	check "$origin: a third reading is equal" reads_like "$work/first" "$image"
	check "$origin: destroy" destroy
}

differs_from()
{
	! reads_like "$1" "$2"
}

# Known content: writes that had ended before the take are in the image, and whatever was in flight
# is there or is not, as a whole and for good; 32 requests of random reads against 32 of random
# writes; image writes of a third party; at the end the origin is what its writer says.
known_content_under_load()
{
	local origin=$1 image blocks=$((area_mib * 256)) writer image_writer

	stamped-io fill "$origin" "$work/origin" --count $blocks >/dev/null || return
	cp "$work/origin" "$work/at-cut"
	start_stamped write "$origin" "$work/origin" --count $blocks --seconds 600 --seed 2
	writer=$stamped
	create "$origin" && append $store 0:"$store_sectors" || return
	sleep 1
	check "$origin: take under stamped writes" take
	image=$(image_of "$origin")
	check "$origin: every block of the image is whole" stamped-io learn "$image" "$work/at-cut" --count $blocks
	check "$origin: random reads of it under random writes" \
		stamped-io read "$image" "$work/at-cut" --count $blocks --seconds 5 --blocks 16
	check "$origin: so do reads of single sectors" \
		stamped-io read "$image" "$work/at-cut" --count $blocks --seconds 3 --sectors --blocks 3

	cp "$work/at-cut" "$work/image"
	check "$origin: image writes under origin writes" \
		stamped-io write "$image" "$work/image" --count $blocks --seconds 5 --seed 3
	check "$origin: the image keeps them" stamped-io check "$image" "$work/image" --count $blocks
	start_stamped write "$image" "$work/image" --count $((blocks / 2)) --seconds 600 --seed 4
	image_writer=$stamped
	check "$origin: reads beside writes of the same image" stamped-io read "$image" "$work/image" \
		--first $((blocks / 2)) --count $((blocks / 2)) --seconds 3
	check "$origin: the image writer met no error" stop_stamped "$image_writer"
	check "$origin: the origin's writer met no error" stop_stamped "$writer"
	check "$origin: the image is what its writers say" stamped-io check "$image" "$work/image" --count $blocks
	check "$origin: the origin is what its writer says" stamped-io check "$origin" "$work/origin" --count $blocks
	check "$origin: destroy" destroy
	check "$origin: the origin still is" stamped-io check "$origin" "$work/origin" --count $blocks
}

check 'the module loads' load_module
check 'a dm-linear device' dm_device constancy "0 $((512 * 2048)) linear /dev/vdc 2048"
for origin in "${origins[@]}"; do
	constant_under_fio "$origin"
	known_content_under_load "$origin"
done
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
