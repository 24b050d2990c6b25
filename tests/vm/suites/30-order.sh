#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The images of one snapshot show one instant: if a write had completed before another was submitted,
# on any devices, no set shows the other without the first. See tests/helpers/cut-order.cpp.
# vm: timeout=600
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

# Shows what the program counted, and fails with it.
cuts()
{
	local status=0

	cut-order --seconds $((300 * VM_SLOWDOWN)) "$@" >"$work/cuts" 2>&1 || status=$?
	diag "$(<"$work/cuts")" >&3
	cat "$work/cuts"
	return "$status"
}
exec 3>&1

plan 9
check 'the module loads' load_module
check 'a dm-linear device' dm_device order "0 $((64 * 2048)) linear /dev/vdc 2048"
check 'a slow device' dm_device slow "0 $((64 * 2048)) delay /dev/vdd 0 0 /dev/vdd 0 300"
# Hundreds of images come and go: nobody else shall look at each.
udevadm control --stop-exec-queue
later udevadm control --start-exec-queue
# A then B with rising numbers, one completed before the next is submitted.
check '200 cuts of two disks: B is never ahead of A' cuts --cuts 200 --depth 1 /dev/vde /dev/vdb /dev/vdc
check '30 cuts of three disks with 32 writes in flight show one instant each' \
	cuts --cuts 30 --depth 32 --blocks 128 /dev/vde /dev/vdb /dev/vdc /dev/vdd
check '30 cuts of a disk and a dm-linear device' \
	cuts --cuts 30 --depth 8 --blocks 64 /dev/vde /dev/vdb /dev/mapper/order
# A write is under way for 300 ms: cuts that did not wait for it would show it later.
check '10 cuts of a slow and a quick device with 32 writes in flight' \
	cuts --cuts 10 --depth 32 --blocks 64 /dev/vde /dev/mapper/slow /dev/vdb
udevadm control --start-exec-queue
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
