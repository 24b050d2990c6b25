#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kselftest suite, run as on any machine. Each of its tests counts as one of ours.
# $TEST_KSELFTEST_AREAS names some of its areas.
# vm: own-boot timeout=3600 disks=0 memory=2G
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"

[[ -f /host/blksnap.ko ]] || skip_all 'the module is not built'

export BLKSNAP_MODULE=/host/blksnap.ko KSELFTEST_DIR=/host/build/kselftest KSELFTEST_SLOWDOWN=$VM_SLOWDOWN

# A subtest's lines are indented; a line at the margin is the verdict of an area, log and all.
relay()
{
	local line area=''

	while IFS= read -r line; do
		case $line in
		'# Subtest: '*) area=${line#*: } ;;
		'    ok '*'# SKIP '*) line=${line#* - }; skip "$area: ${line%% # SKIP*}" "${line##*# SKIP }" ;;
		'    ok '*) ok "$area: ${line#* - }" ;;
		'    not ok '*) not_ok "$area: ${line#* - }" ;;
		'    TAP version'* | '    1..'* | '    # Totals'*) ;;
		'    '*) diag "${line#    }" ;;
		'ok '*'# SKIP '*) line=${line#* - }; skip "${line%% # SKIP*}" "${line##*# SKIP }" ;;
		'ok '*) ok "${line#* - }: as a whole, with a clean kernel log" ;;
		'not ok '*) not_ok "${line#* - }: as a whole, with a clean kernel log" ;;
		'# tests: '*) totals=$line ;;
		'#'*) diag "${line#\# }" ;;
		esac
	done
}

totals=''
# shellcheck disable=SC2086 # A list.
relay < <("$(dirname "$0")/../../kselftest/run_kselftest.sh" ${TEST_KSELFTEST_AREAS:-}; echo "# status: $?")
check 'the runner came to its end' test -n "$totals"
check 'the module is gone' test ! -d /sys/module/blksnap
finish
