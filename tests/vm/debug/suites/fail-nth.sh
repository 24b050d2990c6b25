#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Each place in each request, and in loading, where memory may be lacking or a user's page missing, one
# by one: see tests/helpers/fail-nth.cpp. $TEST_FAIL_NTH_FROM is the operation to begin with.
# Half an hour on 6.1-kasan, emulated, on a machine that does other things as well.
# vm: own-boot timeout=900 disks=0
# shellcheck disable=SC2317 # Functions are called through check.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/../../suites/lib/snapshot.sh"
# shellcheck source=tests/vm/debug/suites/lib/faults.sh
. "$(dirname "$0")/lib/faults.sh"

all_places()
{
	every_place_counts
	fail-nth --module "$module" --origin /dev/origin --store /dev/store \
		${TEST_FAIL_NTH_FROM:+--from "$TEST_FAIL_NTH_FROM"} >"$work/places"
}

expect_failed_allocations

plan 3
check 'an origin' null_disk origin 64
check 'a store' null_disk store 64
check 'one place after the other' all_places
diag "$(<"$work/places")"
finish
