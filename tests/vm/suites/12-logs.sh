#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel log through the lives of two snapshots: one line per event, nothing per bio, devices named
# as the kernel does, snapshots by their UUID; everything else only when dynamic debug asks for it.
# vm: timeout=240
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 26

origin=/dev/vdb plain=/dev/vdc store=/dev/vdd
control=/sys/kernel/debug/dynamic_debug/control

same()
{
	[[ $1 == "$2" ]] || { echo "'$1' is not '$2'"; return 1; }
}

# What the module said since the last time, without the time. The kernel's own words about modules
# without a signature begin with its name, too.
new_lines()
{
	dmesg --notime | sed -n 's/^blksnap: //p' |
		grep -v -e '^loading out-of-tree module' -e '^module verification failed' >"$work/log.now"
	tail -n "+$((said + 1))" "$work/log.now"
	said=$(wc -l <"$work/log.now")
}
said=0

# says REGEX...: the module said just these lines since the last time, in this order
says()
{
	local i lines expected=("$@")

	new_lines >"$work/new"
	mapfile -t lines <"$work/new"
	printf '%s\n' "${lines[@]}"
	for ((i = 0; i < ${#lines[@]}; i++)); do
		[[ ${lines[i]} =~ ^${expected[i]:-nothing more}$ ]] || { echo "line $i is not expected"; return 1; }
	done
	((i == $#)) || { echo "ends before: ${expected[i]}"; return 1; }
}

prepare()
{
	mkfs.ext4 -q "$origin" && mount_device "$origin" "$work/mnt" &&
		null_disk small 16 && dm_device mapped "0 65536 linear $plain 0"
}

life()
{
	local id image

	check 'nothing is said at load' says
	create $origin /dev/dm-0
	id=$snapshot
	check 'created: trackers and the first request for storage' says \
		"snapshot $id: asks for 2097152 sectors of diff storage" \
		'vdb: tracking begins' 'dm-0: tracking begins' \
		"snapshot $id: created for 2 devices"
	append $store 0:65536
	check 'storage appended' says "snapshot $id: 1 ranges of vdd appended as diff storage"
	append $store 131072:8192 262144:8192
	check 'storage appended again' says "snapshot $id: 2 ranges of vdd appended as diff storage"
	take
	check 'taken: file systems, images, the cut' says \
		'dm-0: no file system that can be frozen through it' 'vdb: file system frozen' \
		"snapshot $id: blksnap-image0 shows vdb" "snapshot $id: blksnap-image1 shows dm-0" \
		"snapshot $id: taken of 2 devices, writers held up for [0-9]+ us"
	image=$(image_of $origin)
	fio --name=load --filename="$work/mnt/file" --size=8M --bs=4k --rw=randrw --runtime=3 \
		--time_based --direct=1 --ioengine=libaio --iodepth=8 --output="$work/fio"
	dd if="$image" of=/dev/null bs=1M count=64 iflag=direct status=none
	dd if=/dev/zero of="$image" bs=4k count=64 oflag=direct status=none
	dd if=/dev/urandom of=/dev/mapper/mapped bs=4k count=64 oflag=direct status=none
	blksnap tracker_collect >"$work/out"
	blksnap snapshot_collect >"$work/out"
	blksnap tracker_readcbtmap --device $origin --file "$work/map"
	check 'nothing per bio or question' says
	destroy
	check 'destroyed' says "snapshot $id: destroyed"
	blksnap tracker_remove --device $origin
	check 'tracker removed' says 'vdb: tracking ends'
	blksnap tracker_remove --device /dev/mapper/mapped
	check 'tracker removed, too' says 'dm-0: tracking ends'
}

# A store that is too small: requested, and lost, each said once.
loss()
{
	local id

	parameter diff_storage_minimum 4096
	create /dev/small
	id=$snapshot
	append $store 0:8192
	take
	new_lines >/dev/null
	dd if=/dev/urandom of=/dev/small bs=64k oflag=direct status=none
	wait_until 10 lost_is_logged "$id"
	check 'low space and loss' says "snapshot $id: asks for 4096 sectors of diff storage" \
		"snapshot $id: the image of small is lost: the diff storage is full \(error 28\); the device itself is not affected"
	dd if=/dev/urandom of=/dev/small bs=64k oflag=direct status=none
	refuse 'the image is not readable' dd if="$(image_of /dev/small)" of=/dev/null bs=4k count=1 iflag=direct status=none
	check 'nothing more about it' says
	destroy
	blksnap tracker_remove --device /dev/small
	check 'its end' says "snapshot $id: destroyed" 'small: tracking ends'
}

lost_is_logged()
{
	dmesg | grep -q "blksnap: snapshot $1: .* is lost"
}

# A refused request is the program's to tell; the log has it for who looks for it.
debugging()
{
	refuse 'a request is refused' blksnap snapshot_take --id 00000000-0000-4000-8000-000000000000
	check 'the log does not mind' says
	check 'dynamic debug' bash -c "echo module blksnap +p >$control"
	refuse 'it is refused again' blksnap snapshot_take --id 00000000-0000-4000-8000-000000000000
	check 'the log has it now' says 'ioctl 80105608: error 3'
	create /dev/small
	new_lines >"$work/new"
	check 'how writes are intercepted is said now' grep -qE '^writes are intercepted \((direct|ipmodify)\)$' "$work/new"
	destroy
	blksnap tracker_remove --device /dev/small
	echo module blksnap -p >$control
	new_lines >/dev/null
}

levels()
{
	dmesg --raw | grep -E '^<[0-9]+>.*blksnap: snapshot .* (created|appended|taken|shows|destroyed)' |
		grep -vc '^<6>'
}

parameters()
{
	modinfo --field parm "$module" >"$work/parameters"
	check 'chunk_* are said to be without effect' same \
		"$(grep -c '^chunk_.*Accepted for compatibility, not used' "$work/parameters")" 3
	check 'every parameter is described' same \
		"$(grep -cE '^[a-z_]+:[A-Z].* \(.*\)|^hook:How' "$work/parameters")" \
		"$(find /sys/module/blksnap/parameters -type f | wc -l)"
}

check 'devices' prepare
new_lines >/dev/null
check 'the module loads' load_module
life
loss
debugging
check 'a life is told at the level of information' same "$(levels)" 0
parameters
check 'the module goes' unload_module
check 'without a word' says
finish
