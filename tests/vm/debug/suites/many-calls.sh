#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Suite 80-fuzz-ioctl until it has made ten million calls ($TEST_FUZZ_CALLS), or $TEST_FUZZ_MINUTES have passed.
# Without kmemleak and DEBUG_OBJECTS, which take half of the time; the suite by itself runs with them.
# vm: own-boot append=kmemleak=off append=no_debug_objects lasts=TEST_FUZZ_MINUTES:240
# vm-expect: kmemleak: Kernel memory leak detector disabled
export TEST_FUZZ_CALLS=${TEST_FUZZ_CALLS:-10000000} TEST_FUZZ_SECONDS=$((TEST_FUZZ_MINUTES * 60))
exec bash "$(dirname "$0")/../../suites/80-fuzz-ioctl.sh"
