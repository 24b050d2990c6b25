#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Areas of the kselftests that move data, with faults all over: what a test expects may not come, but nothing
# hangs, nothing is left, the kernel has no complaint. The module is loaded anew by some of them.
# $TEST_FAULTS_AREAS names others.
# vm: own-boot timeout=1200 disks=0 memory=3G
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/../../suites/lib/snapshot.sh"
# shellcheck source=tests/vm/debug/suites/lib/faults.sh
. "$(dirname "$0")/lib/faults.sh"

read -ra areas <<<"${TEST_FAULTS_AREAS:-image operations snapshot storage events discard stacking cbt collect}"

# follow KIND PERCENT: faults for whatever module and disks are there, until it is killed
follow()
{
	local disk

	while sleep 0.2; do
		case $1 in
		memory) memory_faults "$2" 10 ;; # with more of them no snapshot is made
		disks)
			io_faults "$2"
			for disk in /sys/block/{nullb*,sd*,dm-*}/make-it-fail; do
				echo 1 >"$disk"
			done
			;;
		esac 2>/dev/null
	done
}

areas_with()
{
	local kind=$1 percent=$2 follower bad faults
	local -a kinds=(fail_make_request)

	[[ $kind != memory ]] || kinds=(failslab fail_page_alloc)
	faults=$(faults_so_far "${kinds[@]}")
	follow "$kind" "$percent" &
	follower=$!
	KSELFTEST_SLOWDOWN=$VM_SLOWDOWN BLKSNAP_MODULE=$module KSELFTEST_DIR=/host/build/kselftest \
		/host/tests/kselftest/run_kselftest.sh "${areas[@]}" >"/results/kselftest-$kind" 2>&1
	kill "$follower"
	wait "$follower"
	no_faults
	faults=$(($(faults_so_far "${kinds[@]}") - faults))
	echo "$faults faults" >"$work/counts"
	grep '^# tests:' "/results/kselftest-$kind" | tee -a "$work/counts"
	bad=$(grep -E 'took longer|cannot be killed|^ *# kernel:|left behind|ended by signal' "/results/kselftest-$kind")
	echo "$bad"
	[[ -z $bad ]] && ((faults)) && grep -q '^# tests:' "$work/counts"
}

expect_failed_allocations
plan 2
check 'kselftests while memory is scarce' areas_with memory 1
counts
check 'kselftests on failing disks' areas_with disks 1
counts
finish
