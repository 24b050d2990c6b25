#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Coverage is by sectors, not by node: images survive loads that arrive through partitions, whole disks and
# stacked drivers (see also the area stacking of the kselftest suite). Every kind of device can be an origin; images of mounted file
# systems can be mounted and are clean.
# vm: timeout=420
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 40

store=/dev/vde
store_sectors=$((512 * 2048))

# The image of SNAPSHOTTED keeps its content when blocks are written through WRITTEN. The first MiB is
# left alone: it may have a partition table.
image_survives()
{
	local written=$1 snapshotted=$2 image area=(--first 256 --count 4096)

	stamped-io fill "$snapshotted" "$work/model" "${area[@]}" --seed 7 >/dev/null &&
		take_with_store "$store" "$store_sectors" "$snapshotted" || return
	image=$(image_of "$snapshotted")
	# Its model says nothing: what the device held is of no interest.
	truncate -s 16M "$work/through"
	stamped-io write "$written" "$work/through" --first 256 --count 6000 --depth 16 --seconds 2 --seed 8 &&
		stamped-io check "$image" "$work/model" "${area[@]}" &&
		! stamped-io check "$snapshotted" "$work/model" "${area[@]}" >/dev/null 2>&1 &&
		destroy && blksnap tracker_remove --device "$snapshotted"
}

# --- partitions and stacked devices ----------------------------------------------------------

partition_disk()
{
	sfdisk --quiet /dev/vdb <<<$'label: gpt\nstart=2048, size=262144\nstart=264192, size=262144' &&
		udevadm settle && [[ -b /dev/vdb2 ]]
}
forget_partitions()
{
	wipefs --quiet --all --force /dev/vdb
	blockdev --rereadpt /dev/vdb
}

check 'the module loads' load_module
check 'a disk with two partitions' partition_disk
later forget_partitions
check 'a dm-linear device' dm_device coverage "0 262144 linear /dev/vdc 4096"

check 'an image of the disk survives writes through a partition' image_survives /dev/vdb1 /dev/vdb
check 'an image of a partition survives writes through the disk' image_survives /dev/vdb /dev/vdb1
check 'an image of a disk survives writes through dm' image_survives /dev/mapper/coverage /dev/vdc

# --- kinds of devices ------------------------------------------------------------------------

sparse_loop()
{
	truncate -s 64M "$work/loop" && loop_device "$work/loop"
}

check 'a null_blk disk' null_disk covered 64
check 'null_blk as origin' image_survives /dev/covered /dev/covered
check 'a loop device' sparse_loop
check 'loop as origin' image_survives "$loop" "$loop"
check 'a SCSI disk with blocks of 4096 bytes' scsi_disk sector_size=4096
check 'SCSI as origin' image_survives "$disk" "$disk"
modprobe -r scsi_debug

# --- file systems ----------------------------------------------------------------------------

# A tree that grows: whole files, named and summed in a manifest that is synced before the cut.
grow_tree()
{
	local number

	for number in $(seq "$2" "$3"); do
		head -c $((number * 3000)) /dev/urandom >"$1/file$number"
	done
	(cd "$1" && md5sum file* >manifest)
	sync --file-system "$1"
}

manifest_holds()
{
	(cd "$1" && md5sum --check --quiet manifest)
}

# file_system TYPE CHECKER...: mounted, written to, cut, image mounted twice and checked
file_system()
{
	local type=$1 origin=/dev/vdd image options=ro,norecovery

	"mkfs.$type" -q "${force[@]}" $origin && mount_device $origin /mnt/origin || return
	grow_tree /mnt/origin 1 40
	fio --name=files --directory=/mnt/origin --size=24M --nrfiles=4 --rw=randwrite --bs=4k --ioengine=libaio \
		--iodepth=16 --time_based --runtime=600 --fallocate=none --output="$work/fio" &
	local writer=$!
	later kill "$writer"
	sleep 2
	check "$type: take while mounted and written to" take_with_store $store $store_sectors $origin
	image=$(image_of $origin)
	rm -f /mnt/origin/file1?
	grow_tree /mnt/origin 50 60
	sync
	# A frozen xfs leaves its counters to the log, so that only ext4 is clean as it is.
	if [[ $type == ext4 ]]; then
		check "$type: the image is clean, as it is frozen" "${@:2}" "$image"
	fi
	check "$type: the image mounts read-only without recovery" \
		mount_device "$image" /mnt/image -o "$options${uuid:+,$uuid}"
	check "$type: its files are those of the manifest" manifest_holds /mnt/image
	check "$type: not those of later" test ! -e /mnt/image/file50
	unmount /mnt/image
	check "$type: the image mounts writable" mount_device "$image" /mnt/image -o "${uuid:-defaults}"
	check "$type: its files are the same" manifest_holds /mnt/image
	check "$type: it can be written to" grow_tree /mnt/image 70 75
	check "$type: and read" manifest_holds /mnt/image
	unmount /mnt/image
	check "$type: after that it is clean, too" "${@:2}" "$image"
	check "$type: files of the origin went on" test ! -e /mnt/origin/file11 -a -e /mnt/origin/file50 -a ! -e /mnt/origin/file70
	kill "$writer"
	wait "$writer"
	check "$type: destroy" destroy
	unmount /mnt/origin
	check "$type: the origin is clean" "${@:2}" $origin
}

force=() uuid=''
file_system ext4 e2fsck -fn
force=(-f) uuid=nouuid
file_system xfs xfs_repair -n

# What somebody else froze stays frozen, and a take does not wait for it.
foreign_freeze()
{
	mount_device /dev/vdd /mnt/origin && fsfreeze --freeze /mnt/origin || return
	later fsfreeze --unfreeze /mnt/origin
	timeout $((30 * VM_SLOWDOWN)) blksnap version >/dev/null && create /dev/vdd && append "$store" 0:"$store_sectors" &&
		timeout $((30 * VM_SLOWDOWN)) blksnap snapshot_take --id "$snapshot" || return
	# Only a frozen one can be thawed.
	fsfreeze --unfreeze /mnt/origin && destroy
}
check 'a foreign freeze is left alone' foreign_freeze
unmount /mnt/origin

check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
