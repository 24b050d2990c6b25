# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the suites share: the module, devices to snapshot, load on them, and going away.
#
# Source it after tap. Everything that a suite makes is undone at its end in reverse order, also
# when a test failed on the way: `later COMMAND...` says how.

module=/host/blksnap.ko
work=$(mktemp -d)

[[ -f $module ]] || skip_all 'the module is not built'

# --- undoing ---------------------------------------------------------------------------------

undo=()

later()
{
	local words

	printf -v words '%q ' "$@"
	undo+=("$words")
}

undo_all()
{
	local status=$? i

	for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
		eval "${undo[i]}" >/dev/null 2>&1
	done
	rm -rf "$work" "$tap_output"
	exit "$status"
}
trap undo_all EXIT
trap 'exit 143' TERM INT

# A loop with a limit: until COMMAND succeeds, or SECONDS are over.
wait_until()
{
	local deadline=$((SECONDS + $1 * VM_SLOWDOWN))

	shift
	until "$@"; do
		((SECONDS < deadline)) || return 1
		sleep 0.1
	done
}

# --- the module ------------------------------------------------------------------------------

load_module()
{
	insmod "$module" "$@" || return
	later unload_module
}

is_loaded()
{
	[[ -d /sys/module/blksnap ]]
}

# Somebody may still look at a device that just appeared: udev does.
unload_module()
{
	local attempt

	is_loaded || return 0
	udevadm settle
	for attempt in 1 2 3; do
		timeout $((60 * VM_SLOWDOWN)) rmmod blksnap && return
		((attempt < 3)) && sleep 0.5
	done
	return 1
}

parameter()
{
	echo "$2" >"/sys/module/blksnap/parameters/$1"
}

same()
{
	[[ $1 == "$2" ]] || { echo "'$1' is not '$2'"; return 1; }
}

# --- devices ---------------------------------------------------------------------------------

device_number()
{
	lsblk --nodeps --noheadings --output MAJ:MIN "$1" | tr -d ' '
}

sectors_of()
{
	blockdev --getsz "$1"
}

# null_disk NAME MIB [ATTRIBUTE=VALUE...]: a disk in memory, /dev/NAME
null_disk()
{
	local name=$1 size=$2 attribute directory=/sys/kernel/config/nullb/$1

	shift 2
	[[ -d /sys/kernel/config/nullb ]] || modprobe null_blk nr_devices=0 || return
	mkdir "$directory" || return
	later remove_null_disk "$name"
	echo "$size" >"$directory/size"
	echo 1 >"$directory/memory_backed"
	for attribute; do
		echo "${attribute#*=}" >"$directory/${attribute%%=*}" || return
	done
	echo 1 >"$directory/power" || return
	udevadm settle
	[[ -b /dev/$name ]]
}

remove_null_disk()
{
	[[ -d /sys/kernel/config/nullb/$1 ]] || return 0
	echo 0 >"/sys/kernel/config/nullb/$1/power"
	rmdir "/sys/kernel/config/nullb/$1"
}

# dm_device NAME TABLE: /dev/mapper/NAME
dm_device()
{
	dmsetup create "$1" --table "$2" || return
	later remove_dm_device "$1"
	udevadm settle
	[[ -b /dev/mapper/$1 ]]
}

remove_dm_device()
{
	dmsetup info "$1" || return 0
	# A suspended one keeps its users waiting.
	dmsetup resume "$1"
	dmsetup remove --retry --force "$1"
}

dm_reload()
{
	dmsetup suspend --nolockfs --noflush "$1" && dmsetup load "$1" --table "$2" && dmsetup resume "$1"
}

# scsi_disk PARAMETER...: a disk of 64 MiB in memory; sets $disk
scsi_disk()
{
	local path

	modprobe scsi_debug dev_size_mb=64 delay=0 "$@" || return
	later modprobe -r scsi_debug
	udevadm settle
	path=$(echo /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block/*)
	disk=/dev/${path##*/}
	[[ -b $disk ]]
}

# loop_device FILE: sets $loop
loop_device()
{
	loop=$(losetup --find --show --direct-io=on "$1" 2>/dev/null || losetup --find --show "$1") ||
		return
	later losetup --detach "$loop"
}

mount_device()
{
	mkdir -p "$2"
	mount "${@:3}" "$1" "$2" || return
	later unmount "$2"
}

unmount()
{
	mountpoint -q "$1" || return 0
	umount "$1" || { fuser -km "$1"; umount "$1"; }
}

# --- snapshots -------------------------------------------------------------------------------

# create DEVICE...: sets $snapshot
create()
{
	snapshot=$(blksnap snapshot_create "${@/#/--device=}") || return
	later destroy_quietly "$snapshot"
}

destroy_quietly()
{
	blksnap snapshot_destroy --id "$1" 2>/dev/null || true
}

append()
{
	blksnap snapshot_appendstorage --id "$snapshot" --device "$1" --range "${@:2}"
}

take()
{
	blksnap snapshot_take --id "$snapshot"
}

# Where the take may hang rather than fail.
limited_take()
{
	timeout $((30 * VM_SLOWDOWN)) blksnap snapshot_take --id "$snapshot"
}

destroy()
{
	timeout $((60 * VM_SLOWDOWN)) blksnap snapshot_destroy --id "${1:-$snapshot}"
}

# take_with_store STORE SECTORS DEVICE...: create, append, take; sets $snapshot
take_with_store()
{
	create "${@:3}" && append "$1" "0:$2" && take
}

# image_of DEVICE: the path of its image
image_of()
{
	local number

	number=$(blksnap snapshot_collect --id "$snapshot" |
		grep -A1 "^orig_dev_id=$(device_number "$1")\$" | sed -n 's/^image_dev_id=.*://p')
	[[ -n $number ]] && echo "/dev/blksnap-image$number"
}

remove_trackers()
{
	local number

	for number in $(blksnap tracker_collect | sed -n 's/^device=//p'); do
		blksnap tracker_remove --device "$number" || return
	done
}

# tracker_value DEVICE KEY: what its tracker tells
tracker_value()
{
	blksnap tracker_collect | gawk -F= -v device="$(device_number "$1")" -v key="$2" \
		'/^device=/ { mine = $2 == device } mine && $1 == key { print $2 }'
}

# event [MILLISECONDS]: the next event in one line
event()
{
	blksnap snapshot_waitevent --id "$snapshot" --timeout "${1:-5000}" | tr '\n' ' '
}

# corrupted_event [MILLISECONDS]: the next event that tells of a lost image; events of space may come
# before it.
corrupted_event()
{
	local line

	while line=$(event "${1:-20000}"); do
		[[ $line == *event=corrupted* ]] && { echo "$line"; return; }
		[[ $line == 'result=ok '* ]] || { echo "$line"; return 1; }
	done
}

# lost_with ERRNO: the next lost image was lost with it
lost_with()
{
	local line

	line=$(corrupted_event 10000) && [[ $line == *"err_code=$1 "* ]] || { echo "$line"; return 1; }
}

# not_lost [DEVICE]: of all events until now none tells of a lost image (of DEVICE)
not_lost()
{
	local line device=${1:+"orig_dev_id=$(device_number "$1") "}

	while line=$(event 300); do
		[[ $line == *event=corrupted*"$device"* ]] && { echo "$line"; return 1; }
		[[ $line == 'result=ok '* ]] || return 0
	done
}

# image_is_lost IMAGE [BLOCK]: a read of a block of 4 KiB gives EIO
image_is_lost()
{
	local error

	error=$(LC_ALL=C dd if="$1" of=/dev/null bs=4k count=1 skip="${2:-0}" iflag=direct 2>&1) &&
		{ echo 'readable'; return 1; }
	grep -q 'Input/output error' <<<"$error" || { echo "$error"; return 1; }
}

# The bytes of a device, past the page cache.
sum_of()
{
	dd if="$1" bs=1M iflag=direct status=none "${@:2}" | sha256sum | cut -d' ' -f1
}

# Every byte of the CBT map in decimal, one a line.
cbt_map()
{
	rm -f "$work/map"
	blksnap tracker_readcbtmap --device "$1" --file "$work/map" && od -An -v -tu1 -w1 "$work/map"
}

# cbt_blocks DEVICE SINCE: the blocks that changed since snapshot number SINCE, in one line
cbt_blocks()
{
	cbt_map "$1" | gawk -v since="$2" '$1 > since { printf "%s%d", separator, NR - 1; separator = " " }'
}

# --- load ------------------------------------------------------------------------------------

# start_load DEVICE [FIO OPTIONS...]: random writes until stop_load; sets $load
start_load()
{
	local device=$1

	shift
	fio --name=load --filename="$device" --direct=1 --ioengine=libaio --iodepth=32 --rw=randwrite \
		--bs=4k --time_based --runtime=3600 --randrepeat=0 --norandommap \
		--output="$work/load.$$.${device//\//_}" "$@" &
	load=$!
	loads+=("$load")
	later end_load "$load"
}
loads=()

# Not by SIGINT: it is ignored in the background until fio has begun, which takes long on some kernels.
end_load()
{
	kill -TERM "$1" 2>/dev/null || return 0
	wait "$1"
}

# stop_load [PID]: ends it. Return: whether it ran until now without an error.
stop_load()
{
	local load=${1:-$load}

	kill -0 "$load" || { wait "$load"; return 1; }
	kill -INT "$load"
	wait "$load"
	# Interrupted, fio ends with 128 even if all went well; an error is in its report.
	! grep -hE 'err= *[1-9]|error=' "$work"/load.*
}

# stamped VERB ...: stamped-io in the background; sets $stamped
start_stamped()
{
	stamped-io "$@" >"$work/stamped.$1" 2>&1 &
	stamped=$!
	later kill "$stamped"
}

# Ends it in good time. Return: its verdict.
stop_stamped()
{
	local pid=${1:-$stamped}

	kill -TERM "$pid" 2>/dev/null
	wait "$pid" || { cat "$work"/stamped.*; return 1; }
}
