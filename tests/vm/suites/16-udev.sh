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

plan 30

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
	mkfs.ext4 -q -L files /dev/vdb && pvcreate -q /dev/vdc && vgcreate -q group /dev/vdc &&
		lvcreate -q -y -an -Zn -l 8 -n volume group && mkfs.btrfs -q -L tree /dev/vdd &&
		udevadm trigger --settle --action=change /dev/vdb /dev/vdc /dev/vdd
	later wipefs -aq /dev/vdb /dev/vdc /dev/vdd
	later vgchange -q -an group
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
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
