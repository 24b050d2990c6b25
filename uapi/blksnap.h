/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The ioctl interface of blksnap: snapshots of block devices with copy-on-write and change block
 * tracking. The requests are made on the control node, /dev/blksnap.
 *
 * This file is read by the kernel module, by userspace in C and C++, and, with BLKSNAP_FREESTANDING
 * defined, by code that sees no system header at all. Every number and every offset is asserted at
 * its end. The structures carry no alignment attribute: a 32-bit x86 program sees its natural
 * layout, which blksnap_compat.h describes for the module.
 *
 * Holes read as zero on output and are ignored on input.
 */
#ifndef _UAPI_BLKSNAP_H
#define _UAPI_BLKSNAP_H

#ifdef BLKSNAP_FREESTANDING
/* The same types as linux/types.h has on x86, so that a file may see both. */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef signed int __s32;
typedef unsigned int __u32;
__extension__ typedef signed long long __s64;
__extension__ typedef unsigned long long __u64;
#else
#include <linux/types.h>
#include <linux/ioctl.h>
#endif

#if defined(__KERNEL__) && !defined(BLKSNAP_FREESTANDING)
#define __blk_snap_user __user
#else
#define __blk_snap_user
#endif

/**
 * BLK_SNAP - the type ("magic") of every request of this interface
 */
#define BLK_SNAP 'V'

/*
 * The direction bits of the numbers do not tell the true direction of the data. They are part of
 * the interface and stay as they are. A request is recognised by its whole number; anything else
 * gives ENOTTY. Requests 32 to 34 stay unused for ever: clients probe them and take ENOTTY as
 * "no extensions". Extensions of this interface start at 64.
 */
#ifdef BLKSNAP_FREESTANDING
#define __BLK_SNAP_IOC(direction, nr, type)                                                        \
	((__u32)(((__u32)(direction) << 30) | ((__u32)sizeof(type) << 16) | (BLK_SNAP << 8) | (nr)))
#define __BLK_SNAP_IOW(nr, type) __BLK_SNAP_IOC(1u, nr, type)
#define __BLK_SNAP_IOR(nr, type) __BLK_SNAP_IOC(2u, nr, type)
#else
#define __BLK_SNAP_IOW(nr, type) _IOW(BLK_SNAP, nr, type)
#define __BLK_SNAP_IOR(nr, type) _IOR(BLK_SNAP, nr, type)
#endif

/**
 * struct blk_snap_version - the version of the module
 * @major: changes when the interface does
 * @minor: changes when something is added
 * @revision: changes with corrections
 * @build: changes with each build, may be zero
 */
struct blk_snap_version {
	__u16 major;
	__u16 minor;
	__u16 revision;
	__u16 build;
};

/**
 * IOCTL_BLK_SNAP_VERSION - get the version of the module
 *
 * Fills &struct blk_snap_version. Return: 0 or -1 with errno.
 */
#define IOCTL_BLK_SNAP_VERSION __BLK_SNAP_IOW(0, struct blk_snap_version)

/**
 * struct blk_snap_dev - the number of a block device
 * @mj: major number
 * @mn: minor number
 */
struct blk_snap_dev {
	__u32 mj;
	__u32 mn;
};

/**
 * struct blk_snap_uuid - an identifier, of a snapshot or of a generation of a CBT map
 * @b: the bytes in the order in which they are printed
 */
struct blk_snap_uuid {
	__u8 b[16];
};

/**
 * struct blk_snap_tracker_remove - argument of IOCTL_BLK_SNAP_TRACKER_REMOVE
 * @dev_id: the original device that is to be tracked no longer
 */
struct blk_snap_tracker_remove {
	struct blk_snap_dev dev_id;
};

/**
 * IOCTL_BLK_SNAP_TRACKER_REMOVE - stop tracking the changes of a device
 *
 * Return: 0 or -1 with errno: EBUSY while a snapshot, created or taken, holds the device; ENODATA
 * if the device has no tracker; the error of opening it if there is no such device.
 */
#define IOCTL_BLK_SNAP_TRACKER_REMOVE __BLK_SNAP_IOW(1, struct blk_snap_tracker_remove)

/**
 * struct blk_snap_cbt_info - what a tracker knows about its device
 * @dev_id: the original device
 * @blk_size: size of a tracking block in bytes
 * @device_capacity: size of the device in bytes
 * @blk_count: number of tracking blocks, which is the length of the CBT map in bytes
 * @generation_id: numbers of snapshots can be compared only within one generation
 * @snap_number: number of the last snapshot taken of the device
 */
struct blk_snap_cbt_info {
	struct blk_snap_dev dev_id;
	__u32 blk_size;
	__u64 device_capacity;
	__u32 blk_count;
	struct blk_snap_uuid generation_id;
	__u8 snap_number;
};

/**
 * struct blk_snap_tracker_collect - argument of IOCTL_BLK_SNAP_TRACKER_COLLECT
 * @count: in: room in the array; out: number of trackers
 * @cbt_info_array: filled with one element per tracker; NULL to ask for the count only
 */
struct blk_snap_tracker_collect {
	__u32 count;
	struct blk_snap_cbt_info __blk_snap_user *cbt_info_array;
};

/**
 * IOCTL_BLK_SNAP_TRACKER_COLLECT - list the tracked devices
 *
 * Return: 0 or -1 with errno: ENOBUFS if the array is too small, with the needed length in @count.
 */
#define IOCTL_BLK_SNAP_TRACKER_COLLECT __BLK_SNAP_IOW(2, struct blk_snap_tracker_collect)

/**
 * struct blk_snap_tracker_read_cbt_bitmap - argument of IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP
 * @dev_id: the original device
 * @offset: first byte of the map to copy
 * @length: room in the buffer in bytes
 * @buff: receives one byte per tracking block
 *
 * A byte is 0 if the block has not changed in this generation, else the number of the snapshot that
 * was current at its last change. Who saw number N at the last backup copies blocks above N.
 */
struct blk_snap_tracker_read_cbt_bitmap {
	struct blk_snap_dev dev_id;
	__u32 offset;
	__u32 length;
	__u8 __blk_snap_user *buff;
};

/**
 * IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP - copy a part of the CBT map as it was at the take
 *
 * Return: the number of bytes copied, short at the end of the map and 0 at its end; or -1 with
 * errno: EPERM if no taken snapshot holds the device, ENODATA if it is not tracked, EINVAL if
 * @offset is beyond the end.
 */
#define IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP                                                        \
	__BLK_SNAP_IOR(3, struct blk_snap_tracker_read_cbt_bitmap)

/**
 * struct blk_snap_block_range - a range of 512-byte sectors
 * @sector_offset: first sector
 * @sector_count: number of sectors
 */
struct blk_snap_block_range {
	__u64 sector_offset;
	__u64 sector_count;
};

/**
 * struct blk_snap_tracker_mark_dirty_blocks - argument of IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS
 * @dev_id: an original device, or an image, which stands for its original
 * @count: number of ranges
 * @dirty_blocks_array: the ranges; those of zero length are skipped
 */
struct blk_snap_tracker_mark_dirty_blocks {
	struct blk_snap_dev dev_id;
	__u32 count;
	struct blk_snap_block_range __blk_snap_user *dirty_blocks_array;
};

/**
 * IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS - have ranges reported as changed
 *
 * Return: 0 or -1 with errno: ENODEV if the device is not tracked, EINVAL if a range leaves the
 * device, and then nothing is marked.
 */
#define IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS                                                   \
	__BLK_SNAP_IOR(4, struct blk_snap_tracker_mark_dirty_blocks)

/**
 * struct blk_snap_snapshot_create - argument of IOCTL_BLK_SNAP_SNAPSHOT_CREATE
 * @count: number of devices
 * @dev_id_array: the original devices, each once
 * @id: out: names the new snapshot
 */
struct blk_snap_snapshot_create {
	__u32 count;
	struct blk_snap_dev __blk_snap_user *dev_id_array;
	struct blk_snap_uuid id;
};

/**
 * IOCTL_BLK_SNAP_SNAPSHOT_CREATE - make a snapshot, not yet taken, and track its devices
 *
 * Return: 0 or -1 with errno: EINVAL if there is no device, one is named twice or one is an image;
 * EALREADY if one is in a snapshot already. A failure leaves nothing behind but old trackers.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_CREATE __BLK_SNAP_IOW(5, struct blk_snap_snapshot_create)

/**
 * struct blk_snap_snapshot_destroy - argument of IOCTL_BLK_SNAP_SNAPSHOT_DESTROY
 * @id: the snapshot
 */
struct blk_snap_snapshot_destroy {
	struct blk_snap_uuid id;
};

/**
 * IOCTL_BLK_SNAP_SNAPSHOT_DESTROY - end a snapshot
 *
 * When it returns the images are gone, and the devices and the diff storage are released.
 *
 * Return: 0 or -1 with errno: ENODEV if there is no such snapshot.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_DESTROY __BLK_SNAP_IOR(6, struct blk_snap_snapshot_destroy)

/**
 * struct blk_snap_snapshot_append_storage - argument of IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE
 * @id: the snapshot
 * @dev_id: the device that the ranges are on
 * @count: number of ranges
 * @ranges: the ranges, disjoint from one another and from earlier ones
 */
struct blk_snap_snapshot_append_storage {
	struct blk_snap_uuid id;
	struct blk_snap_dev dev_id;
	__u32 count;
	struct blk_snap_block_range __blk_snap_user *ranges;
};

/**
 * IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE - give diff storage to a snapshot
 *
 * Possible before and after the take, any number of times, from several devices.
 *
 * Return: 0 or -1 with errno: ESRCH if there is no such snapshot; EINVAL if a range is empty,
 * leaves the device or overlaps another, or if the device cannot be storage; EROFS if it is
 * read-only; EBUSY if a range lies on sectors that a taken snapshot covers. On an error no range
 * is added.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE                                                     \
	__BLK_SNAP_IOW(7, struct blk_snap_snapshot_append_storage)

/**
 * struct blk_snap_snapshot_take - argument of IOCTL_BLK_SNAP_SNAPSHOT_TAKE
 * @id: the snapshot
 */
struct blk_snap_snapshot_take {
	struct blk_snap_uuid id;
};

/**
 * IOCTL_BLK_SNAP_SNAPSHOT_TAKE - cut all devices of a snapshot at one instant
 *
 * Return: 0 or -1 with errno: ESRCH if there is no such snapshot, EALREADY if it was taken before,
 * ENODEV if it has no devices, ENOSPC if it has no storage. All devices are cut or none is.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_TAKE __BLK_SNAP_IOR(8, struct blk_snap_snapshot_take)

/**
 * struct blk_snap_snapshot_collect - argument of IOCTL_BLK_SNAP_SNAPSHOT_COLLECT
 * @count: in: room in the array; out: number of snapshots
 * @ids: filled with the snapshots; NULL to ask for the count only
 */
struct blk_snap_snapshot_collect {
	__u32 count;
	struct blk_snap_uuid __blk_snap_user *ids;
};

/**
 * IOCTL_BLK_SNAP_SNAPSHOT_COLLECT - list the snapshots
 *
 * Return: 0 or -1 with errno: ENODATA if the array is too small, with the needed length in @count.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_COLLECT __BLK_SNAP_IOW(9, struct blk_snap_snapshot_collect)

/**
 * struct blk_snap_image_info - an original device and its image
 * @orig_dev_id: the original device
 * @image_dev_id: the image; its minor number is the number in its name
 */
struct blk_snap_image_info {
	struct blk_snap_dev orig_dev_id;
	struct blk_snap_dev image_dev_id;
};

/**
 * struct blk_snap_snapshot_collect_images - argument of IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES
 * @id: the snapshot
 * @count: in: room in the array; out: number of images
 * @image_info_array: filled with the images; NULL to ask for the count only
 */
struct blk_snap_snapshot_collect_images {
	struct blk_snap_uuid id;
	__u32 count;
	struct blk_snap_image_info __blk_snap_user *image_info_array;
};

/**
 * IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES - list the images of a snapshot
 *
 * Return: 0 or -1 with errno: ESRCH if there is no such snapshot, ENODEV if it is not taken,
 * ENODATA if the array is too small, with the needed length in @count.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES                                                     \
	__BLK_SNAP_IOW(10, struct blk_snap_snapshot_collect_images)

/**
 * enum blk_snap_event_codes - what an event tells
 * @blk_snap_event_code_low_free_space: append storage; see &struct blk_snap_event_low_free_space
 * @blk_snap_event_code_corrupted: an image was lost; see &struct blk_snap_event_corrupted
 */
enum blk_snap_event_codes {
	blk_snap_event_code_low_free_space = 0,
	blk_snap_event_code_corrupted = 1,
};

/**
 * struct blk_snap_snapshot_event - argument of IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT
 * @id: the snapshot
 * @timeout_ms: how long to wait in milliseconds
 * @code: out: one of &enum blk_snap_event_codes
 * @time_label: out: when it happened, nanoseconds of the monotonic clock
 * @data: out: a structure that depends on @code
 */
struct blk_snap_snapshot_event {
	struct blk_snap_uuid id;
	__u32 timeout_ms;
	__u32 code;
	__s64 time_label;
	__u8 data[4096 - 32];
};

/**
 * IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT - wait for an event of a snapshot
 *
 * Each event goes to one of the waiters. Return: 0 or -1 with errno: ENOENT if the time is over,
 * EINTR on a signal, ESRCH if there is no such snapshot or it was destroyed meanwhile.
 */
#define IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT __BLK_SNAP_IOW(11, struct blk_snap_snapshot_event)

/**
 * struct blk_snap_event_low_free_space - data of blk_snap_event_code_low_free_space
 * @requested_nr_sect: how many sectors of storage to append
 */
struct blk_snap_event_low_free_space {
	__u64 requested_nr_sect;
};

/**
 * struct blk_snap_event_corrupted - data of blk_snap_event_code_corrupted
 * @orig_dev_id: the original device whose image was lost
 * @err_code: why, a positive errno
 */
struct blk_snap_event_corrupted {
	struct blk_snap_dev orig_dev_id;
	__s32 err_code;
};

/*
 * The interface, held by the compiler. Where pointers have 64 bits every number and offset is the
 * one of the table; 32-bit x86 has its own. Other machines keep what does not depend on them.
 */
#ifdef __cplusplus
#define __BLK_SNAP_ASSERT(condition) static_assert(condition, #condition)
#else
#define __BLK_SNAP_ASSERT(condition) _Static_assert(condition, #condition)
#endif
#define __BLK_SNAP_SIZE(noun, size) __BLK_SNAP_ASSERT(sizeof(struct blk_snap_##noun) == (size))
#define __BLK_SNAP_AT(noun, field, offset)                                                         \
	__BLK_SNAP_ASSERT(__builtin_offsetof(struct blk_snap_##noun, field) == (offset))
#define __BLK_SNAP_NUMBER(name, number) __BLK_SNAP_ASSERT(IOCTL_BLK_SNAP_##name == (number))

__BLK_SNAP_SIZE(version, 8);
__BLK_SNAP_AT(version, major, 0);
__BLK_SNAP_AT(version, minor, 2);
__BLK_SNAP_AT(version, revision, 4);
__BLK_SNAP_AT(version, build, 6);
__BLK_SNAP_SIZE(dev, 8);
__BLK_SNAP_AT(dev, mj, 0);
__BLK_SNAP_AT(dev, mn, 4);
__BLK_SNAP_SIZE(uuid, 16);
__BLK_SNAP_SIZE(tracker_remove, 8);
__BLK_SNAP_AT(tracker_remove, dev_id, 0);
__BLK_SNAP_AT(cbt_info, dev_id, 0);
__BLK_SNAP_AT(cbt_info, blk_size, 8);
__BLK_SNAP_AT(tracker_collect, count, 0);
__BLK_SNAP_AT(tracker_read_cbt_bitmap, dev_id, 0);
__BLK_SNAP_AT(tracker_read_cbt_bitmap, offset, 8);
__BLK_SNAP_AT(tracker_read_cbt_bitmap, length, 12);
__BLK_SNAP_AT(tracker_read_cbt_bitmap, buff, 16);
__BLK_SNAP_SIZE(block_range, 16);
__BLK_SNAP_AT(block_range, sector_offset, 0);
__BLK_SNAP_AT(block_range, sector_count, 8);
__BLK_SNAP_AT(tracker_mark_dirty_blocks, dev_id, 0);
__BLK_SNAP_AT(tracker_mark_dirty_blocks, count, 8);
__BLK_SNAP_AT(snapshot_create, count, 0);
__BLK_SNAP_SIZE(snapshot_destroy, 16);
__BLK_SNAP_AT(snapshot_destroy, id, 0);
__BLK_SNAP_AT(snapshot_append_storage, id, 0);
__BLK_SNAP_AT(snapshot_append_storage, dev_id, 16);
__BLK_SNAP_AT(snapshot_append_storage, count, 24);
__BLK_SNAP_SIZE(snapshot_take, 16);
__BLK_SNAP_AT(snapshot_take, id, 0);
__BLK_SNAP_AT(snapshot_collect, count, 0);
__BLK_SNAP_SIZE(image_info, 16);
__BLK_SNAP_AT(image_info, orig_dev_id, 0);
__BLK_SNAP_AT(image_info, image_dev_id, 8);
__BLK_SNAP_AT(snapshot_collect_images, id, 0);
__BLK_SNAP_AT(snapshot_collect_images, count, 16);
__BLK_SNAP_SIZE(snapshot_event, 4096);
__BLK_SNAP_AT(snapshot_event, id, 0);
__BLK_SNAP_AT(snapshot_event, timeout_ms, 16);
__BLK_SNAP_AT(snapshot_event, code, 20);
__BLK_SNAP_AT(snapshot_event, time_label, 24);
__BLK_SNAP_AT(snapshot_event, data, 32);
__BLK_SNAP_SIZE(event_low_free_space, 8);
__BLK_SNAP_AT(event_low_free_space, requested_nr_sect, 0);
__BLK_SNAP_SIZE(event_corrupted, 12);
__BLK_SNAP_AT(event_corrupted, orig_dev_id, 0);
__BLK_SNAP_AT(event_corrupted, err_code, 8);

#if __SIZEOF_POINTER__ == 8
__BLK_SNAP_SIZE(cbt_info, 48);
__BLK_SNAP_AT(cbt_info, device_capacity, 16);
__BLK_SNAP_AT(cbt_info, blk_count, 24);
__BLK_SNAP_AT(cbt_info, generation_id, 28);
__BLK_SNAP_AT(cbt_info, snap_number, 44);
__BLK_SNAP_SIZE(tracker_collect, 16);
__BLK_SNAP_AT(tracker_collect, cbt_info_array, 8);
__BLK_SNAP_SIZE(tracker_read_cbt_bitmap, 24);
__BLK_SNAP_SIZE(tracker_mark_dirty_blocks, 24);
__BLK_SNAP_AT(tracker_mark_dirty_blocks, dirty_blocks_array, 16);
__BLK_SNAP_SIZE(snapshot_create, 32);
__BLK_SNAP_AT(snapshot_create, dev_id_array, 8);
__BLK_SNAP_AT(snapshot_create, id, 16);
__BLK_SNAP_SIZE(snapshot_append_storage, 40);
__BLK_SNAP_AT(snapshot_append_storage, ranges, 32);
__BLK_SNAP_SIZE(snapshot_collect, 16);
__BLK_SNAP_AT(snapshot_collect, ids, 8);
__BLK_SNAP_SIZE(snapshot_collect_images, 32);
__BLK_SNAP_AT(snapshot_collect_images, image_info_array, 24);
__BLK_SNAP_NUMBER(VERSION, 0x40085600);
__BLK_SNAP_NUMBER(TRACKER_REMOVE, 0x40085601);
__BLK_SNAP_NUMBER(TRACKER_COLLECT, 0x40105602);
__BLK_SNAP_NUMBER(TRACKER_READ_CBT_MAP, 0x80185603);
__BLK_SNAP_NUMBER(TRACKER_MARK_DIRTY_BLOCKS, 0x80185604);
__BLK_SNAP_NUMBER(SNAPSHOT_CREATE, 0x40205605);
__BLK_SNAP_NUMBER(SNAPSHOT_DESTROY, 0x80105606);
__BLK_SNAP_NUMBER(SNAPSHOT_APPEND_STORAGE, 0x40285607);
__BLK_SNAP_NUMBER(SNAPSHOT_TAKE, 0x80105608);
__BLK_SNAP_NUMBER(SNAPSHOT_COLLECT, 0x40105609);
__BLK_SNAP_NUMBER(SNAPSHOT_COLLECT_IMAGES, 0x4020560a);
__BLK_SNAP_NUMBER(SNAPSHOT_WAIT_EVENT, 0x5000560b);
#endif

#ifdef __i386__
__BLK_SNAP_SIZE(cbt_info, 44);
__BLK_SNAP_AT(cbt_info, device_capacity, 12);
__BLK_SNAP_AT(cbt_info, blk_count, 20);
__BLK_SNAP_AT(cbt_info, generation_id, 24);
__BLK_SNAP_AT(cbt_info, snap_number, 40);
__BLK_SNAP_SIZE(tracker_collect, 8);
__BLK_SNAP_AT(tracker_collect, cbt_info_array, 4);
__BLK_SNAP_SIZE(tracker_read_cbt_bitmap, 20);
__BLK_SNAP_SIZE(tracker_mark_dirty_blocks, 16);
__BLK_SNAP_AT(tracker_mark_dirty_blocks, dirty_blocks_array, 12);
__BLK_SNAP_SIZE(snapshot_create, 24);
__BLK_SNAP_AT(snapshot_create, dev_id_array, 4);
__BLK_SNAP_AT(snapshot_create, id, 8);
__BLK_SNAP_SIZE(snapshot_append_storage, 32);
__BLK_SNAP_AT(snapshot_append_storage, ranges, 28);
__BLK_SNAP_SIZE(snapshot_collect, 8);
__BLK_SNAP_AT(snapshot_collect, ids, 4);
__BLK_SNAP_SIZE(snapshot_collect_images, 24);
__BLK_SNAP_AT(snapshot_collect_images, image_info_array, 20);
__BLK_SNAP_NUMBER(VERSION, 0x40085600);
__BLK_SNAP_NUMBER(TRACKER_REMOVE, 0x40085601);
__BLK_SNAP_NUMBER(TRACKER_COLLECT, 0x40085602);
__BLK_SNAP_NUMBER(TRACKER_READ_CBT_MAP, 0x80145603);
__BLK_SNAP_NUMBER(TRACKER_MARK_DIRTY_BLOCKS, 0x80105604);
__BLK_SNAP_NUMBER(SNAPSHOT_CREATE, 0x40185605);
__BLK_SNAP_NUMBER(SNAPSHOT_DESTROY, 0x80105606);
__BLK_SNAP_NUMBER(SNAPSHOT_APPEND_STORAGE, 0x40205607);
__BLK_SNAP_NUMBER(SNAPSHOT_TAKE, 0x80105608);
__BLK_SNAP_NUMBER(SNAPSHOT_COLLECT, 0x40085609);
__BLK_SNAP_NUMBER(SNAPSHOT_COLLECT_IMAGES, 0x4018560a);
__BLK_SNAP_NUMBER(SNAPSHOT_WAIT_EVENT, 0x5000560b);
#endif

#undef __BLK_SNAP_NUMBER
#undef __BLK_SNAP_AT
#undef __BLK_SNAP_SIZE
#undef __BLK_SNAP_ASSERT

#endif /* _UAPI_BLKSNAP_H */
