# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # Variables are shared with the other scripts.
# SPDX-License-Identifier: GPL-2.0
#
# Figures that are no speeds of a job on a target. Each function measure_... makes its own disks, leaves
# them behind removed, and records lines "ID value unit what" in $out/figures, separated by tabs.

record()
{
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$out/figures"
	say "$1: $2 $3"
}

remove_null_disk()
{
	local name

	udevadm settle
	for name; do
		echo 0 >"/sys/kernel/config/nullb/$name/power"
		rmdir "/sys/kernel/config/nullb/$name"
	done
}

# filled_disk NAME MIB
filled_disk()
{
	null_disk "$@"
	udevadm settle
	fill "/dev/$1" "$2"
}

# origin_and_store ORIGIN_MIB STORE_MIB: for the functions of targets
origin_and_store()
{
	filled_disk origin "$1"
	filled_disk store "$2"
	origin=/dev/origin store=/dev/store
	origin_sectors=$(($1 * 2048)) store_sectors=$(($2 * 2048))
	write_side=$origin image_side=$origin path='' ended=$EPOCHREALTIME
}

# --- memory --------------------------------------------------------------------------------------

# KiB that are neither free nor of programs nor cached: what the kernel has for itself. Pages on the lists of
# CPUs are free. New device nodes shall not make udev start programs meanwhile.
kernel_memory()
{
	local i

	for i in 1 2; do
		sync
		echo 3 >/proc/sys/vm/drop_caches
		sleep 1
	done
	gawk '/^MemTotal:/ { sum += $2 }
		/^(MemFree|Cached|Buffers|AnonPages|PageTables):/ { sum -= $2 }
		$1 == "count:" { sum -= 4 * $2 }
		END { print sum }' /proc/meminfo /proc/zoneinfo
}

memory_part()
{
	gawk -v name="$1:" '$1 == name { print $2 }' /proc/meminfo
}

remember_memory()
{
	memory_before=$(kernel_memory)
	slab_before=$(memory_part Slab)
	vmalloc_before=$(memory_part VmallocUsed)
	percpu_before=$(memory_part Percpu)
}

# record_memory ID WHAT: what was added since; sets $memory_added
record_memory()
{
	local now

	now=$(kernel_memory)
	memory_added=$((now - memory_before))
	record "$1" $memory_added KiB "$2; of it slab $(($(memory_part Slab) - slab_before)), \
vmalloc $(($(memory_part VmallocUsed) - vmalloc_before)), percpu $(($(memory_part Percpu) - percpu_before))"
}

# CBT maps are large allocations, and at 1 TiB nothing else is: follow those from here on.
watch_large_allocations()
{
	local tracing=/sys/kernel/tracing

	echo 32768 >$tracing/buffer_size_kb
	echo 'bytes_req >= 1048576' >$tracing/events/kmem/kmalloc/filter
	echo 1 >$tracing/events/kmem/kmalloc/enable
	echo 1 >$tracing/events/kmem/kfree/enable
}

# KiB of them that are still there.
large_allocations()
{
	local tracing=/sys/kernel/tracing

	echo 0 >$tracing/events/kmem/enable
	gawk 'match($0, / ptr=([0-9a-fx]+)/, pointer) {
			if (match($0, / bytes_alloc=([0-9]+)/, bytes))
				live[pointer[1]] = bytes[1]
			else
				delete live[pointer[1]]
		}
		END { for (each in live) sum += live[each]; print sum / 1024 }' $tracing/trace
	echo >$tracing/trace
}

measure_memory_1tib()
{
	local cbt

	null_disk origin $((1 << 20))
	filled_disk store 64
	origin=/dev/origin store=/dev/store store_sectors=$((64 * 2048))
	udevadm settle
	blksnap_start
	# What the first tracker and the first snapshot take once and for all is not of this device.
	blksnap_fresh
	blksnap_release
	blksnap tracker_remove --device $origin
	watch_large_allocations
	remember_memory
	snapshot=$(blksnap snapshot_create --device $origin)
	blksnap snapshot_destroy --id "$snapshot"
	record_memory memory-tracked-1tib 'a tracker on 1 TiB, its CBT maps included'
	record memory-tracked-1tib-cbt "$(large_allocations)" KiB \
		'CBT map of a tracker on 1 TiB, with the readable one'
	watch_large_allocations
	remember_memory
	blksnap_fresh
	record_memory memory-held-1tib-with-cbt 'a snapshot of 1 TiB held, nothing written, beside its tracker, everything'
	cbt=$(large_allocations)
	record memory-held-1tib-cbt "$cbt" KiB 'of it CBT maps, by tracing large allocations'
	record memory-held-1tib $((memory_added - cbt)) KiB \
		'a snapshot of 1 TiB held, nothing written, CBT maps left out; beside its tracker'
	blksnap_release
	blksnap_stop
	remove_null_disk origin store
}

# Whole blocks of 4 KiB at random, each once: all writes are first touches.
overwrite_at_random()
{
	overwrite --rw=randwrite --bs=4k --ioengine=libaio --iodepth=32 "$@"
	settle
}

measure_memory_per_gib()
{
	origin_and_store 1024 704
	blksnap_start
	blksnap_fresh
	overwrite_at_random --size=512M --io_size=256M
	remember_memory
	overwrite_at_random --offset=512M --size=512M --io_size=256M
	local now
	now=$(kernel_memory)
	record memory-index-per-gib $(((now - memory_before) * 4)) KiB \
		'what 256 MiB more of random 4 KiB blocks preserved add, times 4'
	blksnap_release
	blksnap_stop
	remove_null_disk origin store
}

# memory_half TARGET SUFFIX WHAT FIO-OPTION...
memory_half()
{
	local target=$1 suffix=$2 what=$3

	shift 3
	"${target}_start"
	# What the first snapshot takes once and for all is no cost of a snapshot.
	"${target}_fresh"
	"${target}_release"
	remember_memory
	"${target}_fresh"
	overwrite --size=512M --io_size=256M "$@"
	settle
	record_memory "memory-512mib-half$suffix-$target" \
		"half overwritten, $what; a snapshot of 512 MiB held, store caught up, pools counted, the tracker left out"
	"${target}_release"
	"${target}_stop"
}

measure_memory_half()
{
	local target

	origin_and_store 512 704
	for target in blksnap dm-snapshot-4k dm-snapshot-64k dm-thin-64k; do
		memory_half "$target" 4k '4 KiB at random' --rw=randwrite --bs=4k --ioengine=libaio --iodepth=32
		memory_half "$target" '' 'every other 256 KiB' --rw=write:256k --bs=256k --ioengine=psync
	done
	remove_null_disk origin store
}

# --- the take ------------------------------------------------------------------------------------

# take_once DEVICE...: sets $take_us, the time in the ioctl, and $stall_us, for how long writes were held up
take_once()
{
	snapshot=$(blksnap snapshot_create "${@/#/--device=}")
	blksnap snapshot_appendstorage --id "$snapshot" --device /dev/store --range "0:$((64 * 2048))"
	strace -f -T -e trace=ioctl -o trace blksnap snapshot_take --id "$snapshot"
	take_us=$(sed -n 's/.*<\([0-9]*\)\.\([0-9]*\)>$/\1\2/p' trace | sed 's/^0*//' | sort -n | tail -1)
	stall_us=$(dmesg | sed -n 's/.*blksnap: .* held up for \([0-9]*\) us.*/\1/p' | tail -1)
	[[ -n $take_us && -n $stall_us ]]
	udevadm settle
	blksnap snapshot_destroy --id "$snapshot"
}

# takes DEVICE...: the median of five; sets $take_us and $stall_us
takes()
{
	local i

	rm -f take.list stall.list
	for i in 1 2 3 4 5; do
		take_once "$@"
		echo "$take_us" >>take.list
		echo "$stall_us" >>stall.list
	done
	take_us=$(sort -n take.list | sed -n 3p)
	stall_us=$(sort -n stall.list | tail -1)
}

measure_take()
{
	local i one names=() devices=()

	filled_disk store 64
	for i in 1 2 3 4 5 6 7 8; do
		filled_disk "file$i" 64
		mkfs.ext4 -q "/dev/file$i"
		mkdir -p "/mnt/file$i"
		mount "/dev/file$i" "/mnt/file$i"
		dd if=/dev/zero of="/mnt/file$i/data" bs=1M count=8 status=none
		names+=("file$i")
		devices+=("/dev/file$i")
	done
	sync
	# The kernel initialises inode tables of new file systems in the background.
	sleep 15
	blksnap_start
	takes /dev/file1
	one=$take_us
	record take-1 "$take_us" us 'time in the TAKE ioctl, 1 device with a mounted ext4, idle; median of 5'
	record stall-1 "$stall_us" us 'writes held up, 1 device; largest of 5'
	takes "${devices[@]}"
	record take-8 "$take_us" us 'the same, 8 devices'
	record stall-8 "$stall_us" us 'writes held up, 8 devices; largest of 5'
	record take-8-to-1 "$(gawk -v a="$take_us" -v b="$one" 'BEGIN { printf "%.3f", a / b }')" 'times' \
		'take-8 against take-1'
	for i in 1 2 3 4 5 6 7 8; do
		umount "/mnt/file$i"
		blksnap tracker_remove --device "/dev/file$i"
	done
	rmmod blksnap
	remove_null_disk store "${names[@]}"
}

measure_stall()
{
	local size

	filled_disk store 64
	for size in 1:1gib $((1 << 10)):1tib $((16 << 10)):16tib; do
		null_disk big $((${size%:*} << 10))
		udevadm settle
		blksnap_start
		takes /dev/big
		record "stall-${size#*:}" "$stall_us" us "writes held up, 1 idle device of ${size#*:}; largest of 5"
		blksnap tracker_remove --device /dev/big
		rmmod blksnap
		remove_null_disk big
	done
	remove_null_disk store
}

# --- other devices -------------------------------------------------------------------------------

# Nanoseconds of a request to a disk, on average.
mean_latency()
{
	udevadm settle
	run_fio --name=job --filename=/dev/other --bs=4k --size=128M --ioengine=psync --rw="$1" \
		--output-format=json >latency
	sed -n '/^{/,$p' latency | jq '.jobs[0] | if .read.total_ios > 0 then .read else .write end | .lat_ns.mean'
}

measure_untracked()
{
	local kind hook
	local -A bare

	filled_disk origin 64
	filled_disk other 128
	origin=/dev/origin
	mean_latency randread >/dev/null
	for kind in randwrite randread; do
		bare[$kind]=$(mean_latency $kind)
	done
	for hook in direct ipmodify; do
		insmod /host/blksnap.ko hook=$hook
		snapshot=$(blksnap snapshot_create --device $origin)
		blksnap snapshot_destroy --id "$snapshot"
		for kind in randwrite randread; do
			record "untracked-$hook-$kind" "$(mean_latency $kind |
				gawk -v bare="${bare[$kind]}" '{ printf "%.1f", $1 - bare }')" instructions \
				"added to a 4k request of a disk while another one is tracked, hook=$hook"
		done
		blksnap_stop
	done
	remove_null_disk origin other
}

# --- several processors --------------------------------------------------------------------------

# threads COUNT: IOPS of that many threads for $thread_runtime, each with a disk of its own
threads()
{
	local i options=()

	for ((i = 1; i <= $1; i++)); do
		options+=(--name="job$i" --filename="/dev/own$i")
		options+=(--rw=randwrite --bs=4k --ioengine=psync --size=64M --time_based --runtime=$thread_runtime)
	done
	udevadm settle
	run_fio --output-format=json "${options[@]}" >threads
	sed -n '/^{/,$p' threads | jq '[.jobs[].write.iops] | add'
}

# contended COMMAND...: counts how often a task had to wait for a lock meanwhile, with the module on its stack
contended()
{
	local event=/sys/kernel/tracing/events/lock/contention_begin

	echo 'hist:keys=stacktrace:size=16384' >$event/trigger
	"$@" >/dev/null
	# A record is a stack in lines, then "hitcount: N".
	gawk '/^{ stacktrace/ { ours = 0 } /blksnap/ { ours = 1 }
		/hitcount:/ { total += $NF; if (ours) mine += $NF }
		END { print mine + 0, total + 0 }' $event/hist
	echo '!hist:keys=stacktrace:size=16384' >$event/trigger
}

own_disks()
{
	echo /dev/own1 /dev/own2 /dev/own3 /dev/own4
}

# threads_in STATE: one more line for one thread and for four; only what is close in time is compared.
threads_in()
{
	local count

	for count in 1 4; do
		threads $count >>"threads.$1.$count"
	done
}

# median_of FILE FILE: of the quotients of their lines
median_of()
{
	paste "$1" "$2" | gawk '{ print $1 / $2 }' | sort -n | sed -n $((thread_rounds / 2 + 1))p
}

# measure_threads ROUNDS RUNTIME
measure_threads()
{
	local thread_rounds=$1 thread_runtime=$2 round i count state counts disks

	read -ra disks < <(own_disks)
	filled_disk store 320
	for i in 1 2 3 4; do
		filled_disk "own$i" 64
	done
	blksnap_start
	for ((round = 1; round <= thread_rounds; round++)); do
		threads_in bare
		snapshot=$(blksnap snapshot_create "${disks[@]/#/--device=}")
		threads_in tracked
		[[ $round != 1 ]] || counts=$(contended threads 4)
		blksnap snapshot_appendstorage --id "$snapshot" --device /dev/store --range "0:$((320 * 2048))"
		blksnap snapshot_take --id "$snapshot"
		for i in 1 2 3 4; do
			fill "/dev/own$i" 64
		done
		sleep 1
		threads_in held
		udevadm settle
		blksnap snapshot_destroy --id "$snapshot"
		for i in 1 2 3 4; do
			blksnap tracker_remove --device "/dev/own$i"
		done
	done
	rmmod blksnap
	for state in tracked held; do
		for count in 1 4; do
			record "threads-$state-$count" "$(median_of "threads.$state.$count" "threads.bare.$count")" ratio \
				"$count threads on disks of their own against raw, $state; 2 CPUs, median of $thread_rounds"
		done
	done
	for state in bare tracked held; do
		record "threads-scaling-$state" "$(median_of "threads.$state.4" "threads.$state.1")" times \
			"4 threads on disks of their own against 1, $state; 2 CPUs, median of $thread_rounds"
	done
	record contended-module "${counts% *}" 'waits' \
		"for locks in $thread_runtime of 4 threads on tracked disks, module on the stack"
	record contended-all "${counts#* }" 'waits' 'for locks meanwhile altogether'
	remove_null_disk store own1 own2 own3 own4
}
