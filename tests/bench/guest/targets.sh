# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # Variables are shared with the other scripts.
# SPDX-License-Identifier: GPL-2.0
#
# What is measured. Each target TARGET has four functions:
#
#   TARGET_start     set it up on $origin and $store; sets $write_side, the device to write to
#   TARGET_fresh     a new snapshot; sets $image_side, the device that shows it
#   TARGET_release   its end
#   TARGET_stop      leave $origin and $store as they were found

# --- the bare disk -------------------------------------------------------------------------------

raw_start() { :; }
raw_fresh() { :; }
raw_release() { :; }
raw_stop() { :; }

# --- blksnap -------------------------------------------------------------------------------------

blksnap_start()
{
	# shellcheck disable=SC2086 # A list of options.
	insmod /host/blksnap.ko $module_parameters
}

blksnap_fresh()
{
	local number

	snapshot=$(blksnap snapshot_create --device "$origin")
	blksnap snapshot_appendstorage --id "$snapshot" --device "$store" --range "0:$store_sectors"
	blksnap snapshot_take --id "$snapshot"
	udevadm settle
	number=$(blksnap snapshot_collect --id "$snapshot" | sed -n 's/^image_dev_id=.*://p')
	image_side=/dev/blksnap-image$number
}

blksnap_release()
{
	udevadm settle
	blksnap snapshot_destroy --id "$snapshot"
}

blksnap_stop()
{
	blksnap tracker_remove --device "$origin"
	rmmod blksnap
}

# --- blksnap, no snapshot held -------------------------------------------------------------------

tracker_start()
{
	blksnap_start
	snapshot=$(blksnap snapshot_create --device "$origin")
	blksnap snapshot_destroy --id "$snapshot"
}

tracker_fresh() { :; }
tracker_release() { :; }

tracker_stop()
{
	blksnap_stop
}

# --- device mapper -------------------------------------------------------------------------------

dm()
{
	dmsetup create "$1" --table "$2"
}

dm-linear_start()
{
	dm linear "0 $origin_sectors linear $origin 0"
	udevadm settle
	write_side=/dev/mapper/linear image_side=$write_side
}

dm-linear_fresh() { :; }
dm-linear_release() { :; }

dm-linear_stop()
{
	dmsetup remove --retry linear
}

# The kind of snapshot that LVM makes, without metadata on the store: N stands for not persistent.
dm_snapshot_start()
{
	modprobe dm-snapshot
	dm snapshot-origin "0 $origin_sectors snapshot-origin $origin"
	udevadm settle
	write_side=/dev/mapper/snapshot-origin
}

dm_snapshot_fresh()
{
	local chunk_sectors=$1

	dmsetup suspend snapshot-origin
	dm snapshot "0 $origin_sectors snapshot $origin $store N $chunk_sectors"
	dmsetup resume snapshot-origin
	udevadm settle
	image_side=/dev/mapper/snapshot
}

dm_snapshot_release()
{
	dmsetup suspend snapshot-origin
	dmsetup remove --retry snapshot
	dmsetup resume snapshot-origin
}

dm_snapshot_stop()
{
	dmsetup remove --retry snapshot-origin
}

dm-snapshot-4k_start() { dm_snapshot_start; }
dm-snapshot-4k_fresh() { dm_snapshot_fresh 8; }
dm-snapshot-4k_release() { dm_snapshot_release; }
dm-snapshot-4k_stop() { dm_snapshot_stop; }

dm-snapshot-64k_start() { dm_snapshot_start; }
dm-snapshot-64k_fresh() { dm_snapshot_fresh 128; }
dm-snapshot-64k_release() { dm_snapshot_release; }
dm-snapshot-64k_stop() { dm_snapshot_stop; }

# A thin volume and its snapshot in one pool, which has the sectors of both disks. All of the volume was
# written once, so that no write has to provide for new blocks unless the snapshot shares them.
dm-thin-64k_start()
{
	local metadata_sectors=32768 data_sectors

	modprobe dm-thin-pool
	data_sectors=$((store_sectors - metadata_sectors))
	dd if=/dev/zero of="$store" bs=1M count=1 oflag=direct status=none
	dm thin-metadata "0 $metadata_sectors linear $store 0"
	dm thin-data "0 $origin_sectors linear $origin 0
$origin_sectors $data_sectors linear $store $metadata_sectors"
	dm thin-pool "0 $((origin_sectors + data_sectors)) thin-pool /dev/mapper/thin-metadata \
/dev/mapper/thin-data 128 0 1 skip_block_zeroing"
	dmsetup message thin-pool 0 'create_thin 0'
	dm thin "0 $origin_sectors thin /dev/mapper/thin-pool 0"
	udevadm settle
	write_side=/dev/mapper/thin
	fill $write_side $((origin_sectors / 2048))
}

dm-thin-64k_fresh()
{
	dmsetup suspend thin
	dmsetup message thin-pool 0 'create_snap 1 0'
	dmsetup resume thin
	dm thin-image "0 $origin_sectors thin /dev/mapper/thin-pool 1"
	udevadm settle
	image_side=/dev/mapper/thin-image
}

dm-thin-64k_release()
{
	dmsetup remove --retry thin-image
	dmsetup message thin-pool 0 'delete 1'
}

dm-thin-64k_stop()
{
	dmsetup remove --retry thin
	dmsetup remove --retry thin-pool
	dmsetup remove --retry thin-data
	dmsetup remove --retry thin-metadata
}
