#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Random faults: allocations of the module, requests to the origin, to the store, and all of them. A
# snapshot may be lost by them; its image never shows wrong data, the writer of the origin meets no error
# but the origin's own, all can be ended, and the kernel has nothing to say.
# The first half took 10 minutes on 6.1-kasan, emulated, on a machine that does other things as well.
# vm: own-boot timeout=1500 disks=4 memory=3G
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/../../suites/lib/snapshot.sh"
# shellcheck source=tests/vm/debug/suites/lib/faults.sh
. "$(dirname "$0")/lib/faults.sh"

origin=/dev/vdb store=/dev/vdc
blocks=8192
store_sectors=$((128 * 2048))

# Tries to make a snapshot; what was made of it is ended with the faults off.
# attempt: Return: 0 if it was taken.
attempt()
{
	create "$origin" || return
	append "$store" 0:"$store_sectors" && limited_take
}

end_attempt()
{
	no_faults
	[[ -z $snapshot ]] || destroy || return
	snapshot=''
	same "$(blksnap snapshot_collect)" ''
}

# One reading without faults tells what the image shows, those with them must be like it. It may have been
# lost before, for good.
shows_one_instant()
{
	local image

	image=$(image_of "$origin")
	no_faults
	stamped-io learn "$image" "$work/at-cut" --count "$blocks" || { image_is_lost "$image" && return; }
	memory_faults "$1"
	stamped-io read "$image" "$work/at-cut" --count "$blocks" --seconds 2 --allow-errors
}

# memory_is_scarce ROUNDS PERMILLE HELD_PERCENT: snapshots come and go while a writer writes; its writes must
# all succeed. Making one takes so many allocations that few are made if 1 in 100 fails: 1 of 23 was.
memory_is_scarce()
{
	local rounds=$1 permille=$2 held_percent=$3 round taken=0 failed=0 faults

	faults=$(faults_so_far failslab fail_page_alloc)
	stamped-io fill "$origin" "$work/origin" --count "$blocks" --seed "$permille" >/dev/null || return
	start_stamped write "$origin" "$work/origin" --count "$blocks" --seconds 3600 --seed "$permille"
	for ((round = 1; round <= rounds || ((!taken || (!failed && permille)) && round <= 4 * rounds); round++)); do
		snapshot=''
		memory_faults "$permille" 10
		if attempt; then
			taken=$((taken + 1))
			shows_one_instant "$held_percent" || return
		else
			failed=$((failed + 1))
		fi
		end_attempt || return
	done
	stop_stamped && stamped-io check "$origin" "$work/origin" --count "$blocks" || return
	faults=$(($(faults_so_far failslab fail_page_alloc) - faults))
	echo "$taken taken, $failed failed, $faults faults" >"$work/counts"
	((taken && faults && (failed || permille == 0)))
}

# faulty_disks PERCENT MEMORY_PERCENT DISK...: with a snapshot held, requests to the disks fail.
faulty_disks()
{
	local percent=$1 memory_percent=$2 round image errors=0

	shift 2
	for round in 1 2 3; do
		end_attempt || return
		stamped-io fill "$origin" "$work/at-cut" --count "$blocks" --seed "$round" >/dev/null || return
		attempt || return
		image=$(image_of "$origin")
		io_faults "$percent" "$@"
		((memory_percent == 0)) || memory_faults "$memory_percent"
		start_load "$origin" --size=32M --continue_on_error=all
		stamped-io read "$image" "$work/at-cut" --count "$blocks" --seconds 8 --allow-errors >"$work/reader" || {
			cat "$work/reader"
			return 1
		}
		grep -q 'errors=[1-9]' "$work/reader" && errors=$((errors + 1))
		end_load "$load"
		end_attempt || return
	done
	echo "in $errors of $round rounds reads of the image failed" >"$work/counts"
	((errors))
}

# The store fails: the writer of the origin must not notice.
faulty_store()
{
	local round lost=0

	for round in 1 2 3; do
		end_attempt || return
		stamped-io fill "$origin" "$work/origin" --count "$blocks" --seed "$round" >/dev/null || return
		cp "$work/origin" "$work/at-cut"
		attempt || return
		io_faults 1 "$store"
		start_stamped write "$origin" "$work/origin" --count "$blocks" --seconds 3600 --seed "$round"
		stamped-io read "$(image_of "$origin")" "$work/at-cut" --count "$blocks" --seconds 6 --allow-errors || return
		stop_stamped || return
		corrupted_event 1000 && lost=$((lost + 1))
		end_attempt && stamped-io check "$origin" "$work/origin" --count "$blocks" || return
	done
	echo "in $lost of $round rounds the image was lost" >"$work/counts"
	((lost))
}

expect_failed_allocations
plan 9
check 'the module loads' load_module
check "of the module's allocations 3 in 1000 fail, and with a snapshot held 5 in 100" memory_is_scarce 12 3 5
counts
check '1 in 5, with a snapshot held' memory_is_scarce 4 0 20
counts
check 'the store fails 1 request in 100' faulty_store
counts
check 'the origin fails 1 request in 100' faulty_disks 1 0 "$origin"
counts
check 'both do' faulty_disks 1 0 "$origin" "$store"
counts
check 'both do, and memory is scarce' faulty_disks 1 1 "$origin" "$store"
counts
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
