#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Ask a kernel's headers what they have: features.sh OUTPUT COMPILER FLAGS...
#
# Writes a header that defines HAVE_<feature> for each piece of code below that compiles. Kernels are asked
# and not recognised by version, because distributions carry interfaces back. Where old and new code
# both compile but mean different things this cannot help; see Documentation/porting.rst.
set -eu

output=$1
shift
work=$output.probes
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

# compiles NAME HEADER CODE: the code stands in a function; unused results are no concern.
compiles()
{
	printf '#include <linux/%s>\nvoid probe(void);\nvoid probe(void)\n{\n%s\n}\n' "$2" "$3" >"$work/$1.c"
	# shellcheck disable=SC2086 # One word an option.
	"$compiler" $flags -Wno-error -Werror=implicit-function-declaration -Werror=incompatible-pointer-types \
		-Werror=int-conversion -fsyntax-only "$work/$1.c" >"$work/$1.log" 2>&1
}

# has NAME HEADER CODE: in the background, for the headers are long.
has()
{
	(if compiles "$@"; then echo "#define HAVE_$1 1"; else echo "/* no $1 */"; fi >"$work/$1.result") &
}

compiler=$1
shift
# The options are words without blanks, except for definitions of strings, which no probe needs.
flags=
for option; do
	case $option in
	*[\ \"\']*) ;;
	*) flags="$flags $option" ;;
	esac
done

if ! compiles sane blkdev.h '(void)bdev_nr_sectors((struct block_device *)0);'; then
	cat "$work/sane.log" >&2
	echo "features.sh: the kernel's own headers do not compile, so nothing can be learned from them" >&2
	exit 1
fi

# Block devices
has BDEV_FILE blkdev.h 'struct file *f = bdev_file_open_by_dev(0, BLK_OPEN_READ, (void *)0, (void *)0);'
has BDEV_PARTNO blkdev.h 'int number = bdev_partno((struct block_device *)0);'
has BDEV_MAPPING blkdev.h 'struct address_space *m = ((struct block_device *)0)->bd_mapping;'
has BDEV_FREEZE blkdev.h 'int error = bdev_freeze((struct block_device *)0);'
has RW_PAGE blkdev.h 'const void *p = &((struct block_device_operations *)0)->rw_page;'
has UNFREEZE_NOMEMRESTORE blk-mq.h 'blk_mq_unfreeze_queue_nomemrestore((struct request_queue *)0);'
wait
# Disks and their limits
has ALLOC_DISK_LIMITS blkdev.h 'struct queue_limits *l = 0; struct gendisk *d = blk_alloc_disk(l, NUMA_NO_NODE);'
has QUEUE_FEATURES blkdev.h 'struct queue_limits l = {.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA};'
has USER_DISCARD_LIMIT blkdev.h 'struct queue_limits l = {.max_user_discard_sectors = 0};'
has WZEROES_UNMAP_LIMIT blkdev.h 'struct queue_limits l = {.max_hw_wzeroes_unmap_sectors = 0};'
wait
# Bios and plugs
has BIO_COMPLETE_IN_TASK bio.h 'int flag = BIO_COMPLETE_IN_TASK;'
has PLUG_NOWAIT blkdev.h 'bool nowait = ((struct blk_plug *)0)->nowait;'
has PLUG_TIMESTAMP blkdev.h 'blk_plug_invalidate_ts();'
has PLUG_CACHED_RQS blk-mq.h 'int empty = rq_list_empty(&((struct blk_plug *)0)->cached_rqs);'
wait
# Work queues
has WQ_PERCPU workqueue.h 'int flag = WQ_PERCPU;'
# ftrace
has FTRACE_DIRECT_MULTI ftrace.h 'register_ftrace_direct_multi((struct ftrace_ops *)0, 0);'
has FTRACE_ARGUMENTS ftrace.h 'unsigned long a = ftrace_regs_get_argument((struct ftrace_regs *)0, 0);
	ftrace_regs_set_instruction_pointer((struct ftrace_regs *)0, a);'
# Classes of devices
has CLASS_WITHOUT_OWNER device.h 'struct class *c = class_create("name");'
has CLASS_CONST device.h 'struct class c;
	char *(*node)(const struct device *, umode_t *) = c.devnode;
	struct class_attribute a;
	ssize_t (*show)(const struct class *, const struct class_attribute *, char *) = a.show;'
wait

{
	echo '/* What this kernel has, as features.sh found by compiling. */'
	cat "$work"/*.result
} >"$output"
