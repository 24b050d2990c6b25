#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# All requests with any arguments, from several threads, while snapshots come and go: see
# tests/fuzz-ioctl. $TEST_FUZZ_SECONDS, $TEST_FUZZ_CALLS and $TEST_FUZZ_SEED ask for more.
# vm: timeout=420
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 5
exec 3>&1 # a long run tells how far it is

seconds=${TEST_FUZZ_SECONDS:-30}
seed=${TEST_FUZZ_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}

make_disks()
{
	local disk

	for disk in origin0 origin1 origin2 origin3; do
		null_disk "$disk" 16 || return
	done
	null_disk store0 64 && null_disk store1 64 && null_disk kept 16
}

set_modprobe()
{
	echo "$1" >/proc/sys/kernel/modprobe
}

# Numbers of devices that nobody has are asked for all the time: each would start modprobe, with the control's
# mutex held. udev would look at each image that comes and at each origin that was written to. And each snapshot
# has a dozen lines in the log, which the serial line takes its time for.
quieten()
{
	later set_modprobe "$(</proc/sys/kernel/modprobe)"
	set_modprobe ''
	udevadm control --stop-exec-queue
	later udevadm control --start-exec-queue
	dmesg --console-level warn
	later dmesg --console-level debug
}

wake_udev()
{
	udevadm control --start-exec-queue && udevadm settle
}

fuzz()
{
	fuzz-ioctl --origin /dev/origin0 --origin /dev/origin1 --origin /dev/origin2 --origin /dev/origin3 \
		--store /dev/store0 --store /dev/store1 --keep /dev/kept --seed "$seed" --seconds "$seconds" \
		--calls "${TEST_FUZZ_CALLS:-18446744073709551615}" \
		--patience $((60 * VM_SLOWDOWN)) |
		tee "$work/fuzz" | sed --unbuffered --quiet 's/^so far/# &/p' >&3
	return "${PIPESTATUS[0]}"
}

# The images went, and all memory with them.
nothing_is_left()
{
	same "$(blksnap snapshot_collect)$(blksnap tracker_collect | head -1)" 'count=0' &&
		! compgen -G '/dev/blksnap-image*'
}

check 'the disks are there' make_disks
check 'the module loads' load_module
quieten
check "any calls, seed $seed" fuzz
diag "$(grep --invert-match '^so far' "$work/fuzz")"
wake_udev
check 'nothing is left' nothing_is_left
check 'the module goes' unload_module
finish
