# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Faults that the kernel can be made to have: Documentation/fault-injection of the kernel. Source it
# after snapshot.sh.

debug=/sys/kernel/debug
[[ -d $debug/failslab ]] || skip_all 'the kernel has no fault injection'

attribute()
{
	[[ ! -d $debug/$1 ]] || echo "$3" >"$debug/$1/$2"
}

# What the last test counted.
counts()
{
	[[ ! -f $work/counts ]] || diag "$(<"$work/counts")"
	rm -f "$work/counts"
}

# The kernel counts down from here with each fault; it is never used up.
faults_at_most=1000000000
for kind in failslab fail_page_alloc fail_make_request; do
	attribute $kind times $faults_at_most
done

# faults_so_far KIND...: how many there were since this file was sourced
faults_so_far()
{
	local kind sum=0

	for kind in "$@"; do
		[[ ! -d $debug/$kind ]] || sum=$((sum + faults_at_most - $(<"$debug/$kind/times")))
	done
	echo $sum
}

# Whatever is allocated counts as a place for faults, and none is reported: that would be a complaint.
every_place_counts()
{
	local kind

	for kind in failslab fail_page_alloc fail_make_request fail_usercopy; do
		attribute $kind verbose 0
	done
	attribute failslab ignore-gfp-wait N
	attribute fail_page_alloc ignore-gfp-wait N
	attribute fail_page_alloc ignore-gfp-highmem N
	attribute fail_page_alloc min-order 0
}

# no_faults: all goes well again
no_faults()
{
	local kind disk

	for kind in failslab fail_page_alloc fail_make_request; do
		attribute $kind probability 0
	done
	for disk in /sys/block/*/make-it-fail; do
		echo 0 >"$disk"
	done
}

# Only what the module asks for fails: what has its text among the callers.
only_module()
{
	local kind size start

	read -r size start < <(gawk '$1 == "blksnap" { print $2, $6 }' /proc/modules) || return
	for kind in failslab fail_page_alloc; do
		attribute "$kind" stacktrace-depth 32
		attribute "$kind" require-start "$start"
		attribute "$kind" require-end "$(printf '%#x' $((start + size)))" # not below zero
	done
}

# memory_faults PERCENT [INTERVAL]: of the allocations of the module, of each INTERVAL-th only; none while it is not
# loaded
memory_faults()
{
	local kind

	every_place_counts
	only_module || return
	for kind in failslab fail_page_alloc; do
		attribute $kind interval "${2:-1}"
		attribute $kind probability "$1"
	done
}

# io_faults PERCENT DISK...: of the requests to disks
io_faults()
{
	local disk

	every_place_counts
	attribute fail_make_request probability "$1"
	for disk in "${@:2}"; do
		echo 1 >"/sys/block/${disk##*/}/make-it-fail"
	done
}

# What the kernel says when it has no memory for itself: for the code of a hook, or to load a module.
expect_failed_allocations()
{
	expect_kernel_message 'vmalloc error: size [0-9]+, vm_struct allocation failed'
	expect_kernel_message 'page allocation failure: order:'
	expect_kernel_message 'kmem_cache_create_usercopy\([^)]+\) failed with error -[0-9]+'
	# The name of a class whose registration failed, which Linux 6.1 forgets. The count is told with each leak.
	expect_kernel_message '__class_register\+'
	expect_kernel_message 'kmemleak: [0-9]+ new suspected memory leaks'
}
