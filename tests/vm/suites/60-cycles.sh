#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Load, take, destroy, unload, again and again under fio: nothing is left, in the log or in memory.
# An image in use keeps the module.
# vm: own-boot disks=3 memory=1G timeout=900
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

plan 20

origin=/dev/vdb mounted=/dev/vdc store=/dev/vdd
rounds=50
tolerance_kib=6144 # What 50 rounds may add: 120 KiB a round, less than one reserve of pages.

# What cannot be given back at once, in KiB: anonymous and cached pages come and go, the rest stays.
# Pages that no owner is known for: what is neither free, nor on the lists of the CPUs for free pages, nor
# counted as something. A page taken by alloc_page() and lost is among these, and little else.
unowned_memory()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	gawk '
		/^(MemTotal):/ { sum += $2 }
		/^(MemFree|Cached|Buffers|AnonPages|Slab|KernelStack|PageTables|SecPageTables|VmallocUsed|Percpu):/ {
			sum -= $2
		}
		FILENAME ~ /zoneinfo/ && $1 == "count:" { sum -= $2 * 4 }
		END { print sum }' /proc/meminfo /proc/zoneinfo
}

slab_memory()
{
	gawk '/^SUnreclaim:/ { print $2 }' /proc/meminfo
}

vmalloc_memory()
{
	gawk '/^VmallocUsed:/ { print $2 }' /proc/meminfo
}

# round KIND NUMBER: one life of the module. An image is read and written while the writers run.
round()
{
	local image=/dev/blksnap-image0

	insmod "$work/blksnap.ko" hook="$1" &&
		snapshot=$(blksnap snapshot_create --device "$origin" --device "$mounted") &&
		append "$store" 0:$((256 * 2048)) && take || return
	dd if="$image" of=/dev/null bs=1M count=4 iflag=direct status=none &&
		dd if=/dev/zero of="$image" bs=4k count=4 seek=8 oflag=direct status=none || return
	# Some modules go with a snapshot held, some with trackers, some with nothing.
	if (($2 % 4)); then
		destroy || return
	fi
	if (($2 % 4 == 1)); then
		remove_trackers || return
	fi
	udevadm settle
	timeout $((60 * VM_SLOWDOWN)) rmmod blksnap
}

rounds()
{
	local number

	for ((number = 1; number <= $2; number++)); do
		round "$1" "$number" || { echo "round $number failed"; return 1; }
	done
}

at_most()
{
	diag "$3: $1, allowed $2" >&3
	(($1 <= $2)) || { echo "$1 is more than $2"; return 1; }
}

no_words_in_log()
{
	! dmesg | tail -n +"$1" | grep -iE 'warn|bug:|oops|error|leak|refus|fail'
}

exec 3>&1
# The rounds shall cycle, not load programs, and the load leave them some time.
cp "$module" "$work/blksnap.ko"
cp "$(type -P blksnap)" "$work/blksnap"
PATH=$work:$PATH
mkfs.ext4 -q $mounted
mount_device $mounted /mnt/origin
start_loads()
{
	start_load $origin --size=64M --rate_iops=500
	load_raw=$load
	start_load /mnt/origin/file --size=32M --rate_iops=500
	load_file=$load
	sleep 2
}

# Whatever the first rounds and the load take once is no loss; memory is compared without a load.
start_loads
check 'three rounds to warm up' rounds auto 3
check 'they cost no writer an error' stop_load "$load_raw"
stop_load "$load_file"
log_lines=$(dmesg | wc -l)
pages_before=$(unowned_memory)
slab_before=$(slab_memory)
vmalloc_before=$(vmalloc_memory)

start_loads
check "$((rounds - 15)) rounds of load, take, destroy, rmmod" rounds auto $((rounds - 15))
check '15 rounds with the redirecting hook' rounds ipmodify 15
check 'fio on the raw device met no error' stop_load "$load_raw"
check 'fio on the file system met no error' stop_load "$load_file"
check 'pages are back' at_most $(($(unowned_memory) - pages_before)) "$tolerance_kib" 'KiB more without an owner'
if grep -qw kasan_report /proc/kallsyms; then
	skip 'slab is back' 'KASAN keeps what is freed for a while; kmemleak looks for what is lost'
else
	check 'slab is back' at_most $(($(slab_memory) - slab_before)) $((tolerance_kib / 2)) 'KiB more slab'
fi
check 'vmalloc is back' at_most $(($(vmalloc_memory) - vmalloc_before)) 1024 'KiB more vmalloc'
check 'the log has no complaint' no_words_in_log "$log_lines"
check 'nothing is hooked' test "$(grep -c submit_bio /sys/kernel/tracing/enabled_functions)" = 0

# --- an image in use -------------------------------------------------------------------------

is_refused()
{
	local output

	output=$(rmmod blksnap 2>&1) && { echo 'unloaded'; return 1; }
	grep -qi 'in use' <<<"$output" && is_loaded
}

check 'the module loads' load_module
check 'a snapshot' take_with_store $store $((256 * 2048)) $mounted
image=$(image_of $mounted)
exec 4<"$image"
check 'an open image keeps the module' is_refused
exec 4<&-
check 'a mounted image' mount_device "$image" /mnt/image
check 'keeps the module, too' is_refused
dd if=/dev/zero of=/mnt/image/dirty bs=1M count=8 status=none
check 'destroy under a mounted and dirty image' destroy
refuse 'its files cannot be read any more' dd if="$image" of=/dev/null bs=4k count=1 status=none
check 'it can be unmounted' umount /mnt/image
check 'and the module goes' unload_module
finish
