#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The udev rules, with a real udevd and the rules of Debian: images have links by their snapshot, and
# nothing that starts from udev's database takes them for their originals.
# vm: timeout=240
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 43

rules=/etc/udev/rules.d
store=/dev/vde

same()
{
	[[ $1 == "$2" ]] || { echo "'$1' is not '$2'"; return 1; }
}

# Debian's rules probe disks of known names only. Others probe everything that did not opt out: so does
# this one, that it be the rule under test which keeps images from being probed.
install_rules()
{
	cp /host/tools/udev/60-blksnap.rules "$rules/" || return
	later rm -f "$rules/60-blksnap.rules" "$rules/60-z-probe-all.rules"
	cat >"$rules/60-z-probe-all.rules" <<-'END'
		SUBSYSTEM=="block", ACTION!="remove", KERNEL=="blksnap-image*", ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}!="1", IMPORT{builtin}="blkid"
		ENV{ID_FS_USAGE}=="filesystem|other", ENV{ID_FS_UUID_ENC}=="?*", SYMLINK+="disk/by-uuid/$env{ID_FS_UUID_ENC}"
	END
	udevadm control --reload
}

property()
{
	udevadm info --query=property --property="$2" --value "$1"
}

link_of()
{
	readlink -f "/dev/disk/by-blksnap/$snapshot/$1"
}

originals()
{
	later wipefs -aq /dev/vdb /dev/vdc /dev/vdd
	later vgchange -q -an group
	wipefs -aq /dev/vdb /dev/vdc /dev/vdd &&
		mkfs.ext4 -q -L files /dev/vdb && pvcreate -q /dev/vdc && vgcreate -q group /dev/vdc &&
		lvcreate -q -y -an -Zn -l 8 -n volume group && mkfs.btrfs -q -L tree /dev/vdd &&
		udevadm trigger --settle --action=change /dev/vdb /dev/vdc /dev/vdd
}

# What udev knows of an image: nothing that it carries.
hidden()
{
	local image=$1 name=$2

	check "$name: it carries what its original does" same \
		"$(blkid -p -s TYPE -o value "$image")" "$(blkid -p -s TYPE -o value "/dev/$name")"
	check "$name: not probed" same "$(property "$image" ID_FS_TYPE)$(property "$image" ID_FS_UUID)" ''
	check "$name: hidden from udisks" same "$(property "$image" UDISKS_IGNORE)" 1
	check "$name: no multipath" same "$(property "$image" DM_MULTIPATH_DEVICE_PATH)" 0
	check "$name: has the link of its snapshot and none else" same \
		"$(property "$image" DEVLINKS)" "/dev/disk/by-blksnap/$snapshot/$name"
	check "$name: the node is root's alone" same "$(stat -c '%a %U:%G' "$image")" '600 root:root'
	check "$name: the link leads to it" same "$(link_of "$name")" "$image"
}

uuid_of()
{
	blkid -p -s UUID -o value "$1"
}

images_are_hidden()
{
	create /dev/vdb /dev/vdc /dev/vdd && append $store 2048:262144 && take || return
	udevadm settle
	check 'sysfs: snapshot' same "$(cat /sys/block/blksnap-image0/blksnap/snapshot)" "$snapshot"
	check 'sysfs: origin' same "$(cat /sys/block/blksnap-image0/blksnap/origin)" vdb
	for name in vdb vdc vdd; do
		hidden "$(image_of "/dev/$name")" "$name"
	done
	check 'ext4: by-uuid leads to the original' same "$(readlink -f "/dev/disk/by-uuid/$(uuid_of /dev/vdb)")" /dev/vdb
	check 'LVM: one device of this name, no duplicates' same "$(pvs --noheadings -o pv_name 2>&1 | xargs)" /dev/vdc
	check 'LVM: the volume group can be used' vgchange -q -ay group
	check 'btrfs: the image was not registered' same \
		"$(dmesg | grep -c 'BTRFS.*blksnap-image')" 0
}

check 'the module loads' load_module
check 'rules and originals' eval 'install_rules && originals'
images_are_hidden
vgchange -q -an group
write_to_image()
{
	dd if=/dev/zero of="$(image_of /dev/vdb)" bs=4k count=1 seek=5 oflag=direct status=none
	udevadm settle
	same "$(property "$(image_of /dev/vdb)" DEVLINKS)" "/dev/disk/by-blksnap/$snapshot/vdb"
}
check 'a write to the image changes nothing' write_to_image
destroy
udevadm settle
check 'destroyed: no links are left' test ! -e "/dev/disk/by-blksnap/$snapshot"

# --- btrfs knows its devices by their identities ---------------------------------------------

# Linux 6.1 refuses the image beside its mounted origin; 7.3 gives the later one another identity for as long as it is
# mounted. Alone it mounts on both, and replays its log. Never may one be taken for the other.

origin=/dev/vdd

shows()
{
	same "$(findmnt --noheadings --output SOURCE "$1") $(cat "$1/committed") $(cat "$1/logged") $(cd "$1" && echo late*)" "$2"
}

btrfs_at_cut()
{
	mount_device "$origin" /mnt/origin && echo old >/mnt/origin/committed && sync --file-system /mnt/origin &&
		echo logged >/mnt/origin/logged && sync /mnt/origin/logged &&
		create "$origin" && append "$store" 2048:262144 && take && image=$(image_of "$origin") || return
	echo new >/mnt/origin/committed
	touch /mnt/origin/late
	sync --file-system /mnt/origin
}

# Linux 6.1 finds no btrfs that it could freeze through its device; 7.3 does, and then the log is empty.
has_log_or_was_frozen()
{
	dmesg | grep -q 'blksnap: vdd: file system frozen' ||
		! btrfs inspect-internal dump-super "$image" | grep -E '^log_root\s+0$'
}

# refused_or_right DEVICE DIRECTORY WORDS: mounted beside the other it is itself, if it is mounted at all
refused_or_right()
{
	local output

	mkdir -p "$2"
	output=$(mount "$1" "$2" 2>&1) || { grep -q 'File exists' <<<"$output" || { echo "$output"; return 1; }; return 0; }
	shows "$2" "$1 $3" || return
	umount "$2"
}

origin_goes_on()
{
	echo later >/mnt/origin/late && sync --file-system /mnt/origin && shows /mnt/origin "$origin new logged late"
}

check 'btrfs: a snapshot of it, mounted, with a log' btrfs_at_cut
check 'btrfs: its image has a log, or it was frozen' has_log_or_was_frozen
# What somebody may do by hand. Linux 6.1 refuses that, too.
btrfs device scan "$image" >/dev/null 2>&1
check 'btrfs: the image beside its origin is itself, or refused' \
	refused_or_right "$image" /mnt/image 'old logged late*'
check 'btrfs: the origin goes on' origin_goes_on
check 'btrfs: its checker finds nothing in the image' btrfs check --readonly "$image"
unmount /mnt/origin
check 'btrfs: alone the image mounts' mount_device "$image" /mnt/image
check 'btrfs: it is as it was, with what was only in the log' shows /mnt/image "$image old logged late*"
check 'btrfs: the origin beside its image is itself, or refused' \
	refused_or_right $origin /mnt/origin 'new logged late'
unmount /mnt/image
destroy
check 'btrfs: the origin mounts again' mount_device $origin /mnt/origin
check 'btrfs: and is as it was left' origin_goes_on
unmount /mnt/origin
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
