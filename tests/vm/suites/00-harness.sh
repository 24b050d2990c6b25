#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guest is what the other suites rely on: disks, shares, kernel, and the modules they use.
# vm: timeout=120
# shellcheck disable=SC2317 # The functions are called through check.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"

plan 21

writable_results()
{
	echo probe >/results/probe && [[ $(</results/probe) == probe ]] && rm /results/probe
}

# Disk N with its serial number is there, empty, and keeps what is written.
disk_works()
{
	local disk=/dev/disk/by-id/virtio-disk$1

	echo "disk $1" | dd of="$disk" conv=fsync status=none
	[[ $(dd if="$disk" count=1 status=none | head -1) == "disk $1" ]]
}


flakey_device()
{
	modprobe dm-flakey && modprobe dm-delay &&
		dmsetup create probe --table '0 2048 flakey /dev/vdb 0 1 0' &&
		[[ -b /dev/mapper/probe ]] && dmsetup remove probe
}

null_block_device()
{
	modprobe null_blk nr_devices=1 && udevadm settle && [[ -b /dev/nullb0 ]] && modprobe -r null_blk
}

scsi_disk()
{
	local disk

	modprobe scsi_debug dev_size_mb=8 delay=0 && udevadm settle
	disk=$(echo /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block/*)
	[[ -b /dev/${disk##*/} ]] && modprobe -r scsi_debug
}

memory_disk()
{
	modprobe brd rd_nr=1 rd_size=4096 && [[ -b /dev/ram0 ]] && modprobe -r brd
}

loop_device()
{
	local loop

	truncate -s 4M /tmp/loop.img
	loop=$(losetup --find --show /tmp/loop.img) && [[ -b $loop ]] && losetup --detach "$loop"
}

file_system()
{
	"mkfs.$1" -q /dev/vdb && mount /dev/vdb /mnt && echo content >/mnt/file &&
		[[ $(</mnt/file) == content ]] && umount /mnt && wipefs -qa /dev/vdb
}

logical_volume()
{
	vgcreate -qq probe /dev/vdb /dev/vdc && lvcreate -qq -Wn -n volume -L 16M probe &&
		[[ -b /dev/probe/volume ]] && vgremove -qqf probe && pvremove -qq /dev/vdb /dev/vdc
}

raid_device()
{
	mdadm --quiet --create /dev/md/probe --run --level=1 --metadata=1.2 --assume-clean \
		--raid-devices=2 /dev/vdb /dev/vdc && mdadm --quiet --stop /dev/md/probe &&
		mdadm --zero-superblock /dev/vdb /dev/vdc
}

check 'runs as root at /host' test "$(id -u) $PWD" = '0 /host'
check 'the project is at /host' test -f /host/tests/vm/tap
refuse '/host cannot be written' touch /host/probe
check '/results can be written' writable_results
check 'the root can be written' touch /root/probe
check 'modules match the kernel' test -f "/lib/modules/$(uname -r)/modules.dep"
for disk in 1 2 3 4; do
	check "disk $disk keeps data" disk_works $disk
done
check 'null_blk makes a device' null_block_device
check 'scsi_debug makes a disk' scsi_disk
check 'brd makes a device' memory_disk
check 'device mapper with flakey and delay' flakey_device
check 'loop devices' loop_device
check 'ext4' file_system ext4
check 'xfs' file_system xfs
check 'btrfs' file_system btrfs
check 'logical volumes' logical_volume
check 'RAID' raid_device
check 'fio' fio --name=probe --filename=/dev/vdb --direct=1 --rw=randwrite --bs=4k --size=4M \
	--verify=crc32c --output=/dev/null
finish
