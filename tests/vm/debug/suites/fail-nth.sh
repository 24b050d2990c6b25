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

# What the kernel says when it has no memory for itself: for the code of a hook, or to load a module.
expect_kernel_message 'vmalloc error: size [0-9]+, vm_struct allocation failed'
expect_kernel_message 'page allocation failure: order:'
expect_kernel_message 'kmem_cache_create_usercopy\([^)]+\) failed with error -[0-9]+'
# The name of a class whose registration failed, which Linux 6.1 forgets. The count is told with each leak.
expect_kernel_message '__class_register\+'
expect_kernel_message 'kmemleak: [0-9]+ new suspected memory leaks'

plan 3
check 'an origin' null_disk origin 64
check 'a store' null_disk store 64
check 'one place after the other' all_places
diag "$(<"$work/places")"
finish
