#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What is done to a machine as a whole while snapshots are held: it is put to sleep, and its nodes get labels.
#
# Sleep goes as far as all programs being frozen (pm_test): no work of ours may be frozen with them, for the
# kernel still writes out pages to a tracked disk then, and before an image of memory is made it needs
# memory for that. The disks of a guest do not survive more.
# vm: own-boot disks=320M,64M,512M memory=1G timeout=300 append=security=selinux
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

need setfattr getfattr
plan 15

store=/dev/vdd
blocks=4096

# --- labels ----------------------------------------------------------------------------------

label_of()
{
	getfattr --only-values --name=security.selinux "$1" 2>/dev/null | tr -d '\0'
}

takes_a_label()
{
	local label=system_u:object_r:fixed_disk_device_t:s0

	setfattr --name=security.selinux --value="$label" "$1" && same "$(label_of "$1")" "$label"
}

# --- sleep -----------------------------------------------------------------------------------

hold()
{
	mkfs.ext4 -q -F /dev/vdb && mount_device /dev/vdb /mnt/origin || return
	stamped-io fill /dev/vdc "$work/origin" --count "$blocks" >/dev/null
	cp "$work/origin" "$work/at-cut"
	start_stamped write /dev/vdc "$work/origin" --count "$blocks" --seconds 3600
	take_with_store "$store" "$(sectors_of "$store")" /dev/vdb /dev/vdc || return
	image=$(image_of /dev/vdc)
	stamped-io learn "$image" "$work/at-cut" --count "$blocks" &&
		sum=$(sum_of "$(image_of /dev/vdb)")
}

# Pages of the file system have to be written while programs are frozen, those of the raw disk are in flight.
sleeps()
{
	local before

	dd if=/dev/urandom of=/mnt/origin/dirty bs=1M count=160 conv=notrunc status=none
	before=$(</sys/power/suspend_stats/success)
	echo "$1" >/sys/power/state || return
	[[ $1 == disk ]] || (($(</sys/power/suspend_stats/success) > before)) || { echo 'it did not sleep'; return 1; }
	not_lost
}

images_are_right()
{
	stamped-io check "$image" "$work/at-cut" --count "$blocks" && same "$(sum_of "$(image_of /dev/vdb)")" "$sum"
}

can_sleep()
{
	[[ -f /sys/power/pm_test ]] && grep -qw freezer /sys/power/pm_test && grep -qw "$1" /sys/power/state
}

check 'the module loads' load_module
if grep -qw selinuxfs /proc/filesystems; then
	check 'the node takes a label' takes_a_label /dev/blksnap
else
	skip 'the node takes a label' 'no SELinux here'
fi
check 'two disks under writers are held' hold
if grep -qw selinuxfs /proc/filesystems; then
	check 'the node of an image takes a label' takes_a_label "$image"
else
	skip 'the node of an image takes a label' 'no SELinux here'
fi
for state in freeze disk; do
	if can_sleep "$state"; then
		echo freezer >/sys/power/pm_test
		check "programs are frozen for $state, and go on" sleeps "$state"
		check "$state: the images are right" images_are_right
	else
		skip "programs are frozen for $state, and go on" 'this kernel cannot pretend to sleep'
		skip "$state: the images are right" 'this kernel cannot pretend to sleep'
	fi
done
check 'the writer met no error' stop_stamped
check 'the origin is what its writer says' stamped-io check /dev/vdc "$work/origin" --count "$blocks"
check 'destroy' destroy
check 'file system' unmount /mnt/origin
check 'it is whole' e2fsck -fn /dev/vdb
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
