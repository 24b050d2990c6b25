#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What programs must not be able to do through /dev/blksnap; see tests/helpers/ioctl-abuse.cpp.
# vm: timeout=240
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 140

check 'the module loads' load_module
/host/build/bin/ioctl-abuse /dev/vdb /dev/vdc >"$work/abuse"
status=$?
# Its tests are ours.
while read -r line; do
	case $line in
	'ok '*) ok "${line#* - }" ;;
	'not ok '*) not_ok "${line#* - }" ;;
	'# Totals'* | 'TAP version'* | 1..*) ;;
	*) diag "${line#\# }" ;;
	esac
done <"$work/abuse"
check 'the program came to its end' grep -q '^1\.\.' "$work/abuse"
check 'with the status of its tests' test $status = "$(grep -c '^not ok' "$work/abuse" | sed 's/[1-9].*/1/')"
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
