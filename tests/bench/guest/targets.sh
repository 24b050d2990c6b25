# shellcheck shell=bash
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
