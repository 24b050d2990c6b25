/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What a 32-bit x86 program passes to a 64-bit kernel: the structures of blksnap.h whose layout
 * depends on the size of a pointer or on the alignment of 64-bit integers, as i386 lays them out,
 * and the numbers that follow from their sizes. For the module's compat_ioctl; programs include
 * blksnap.h only.
 *
 * A pointer is a __u32 here. Requests that are not named below have the same number and the same
 * layout in both worlds: VERSION, TRACKER_REMOVE, SNAPSHOT_DESTROY, SNAPSHOT_TAKE and
 * SNAPSHOT_WAIT_EVENT. So have struct blk_snap_dev, blk_snap_uuid, blk_snap_block_range and
 * blk_snap_image_info.
 */
#ifndef _UAPI_BLKSNAP_COMPAT_H
#define _UAPI_BLKSNAP_COMPAT_H

#include "blksnap.h"

#define __blk_snap_i386 __attribute__((__packed__, __aligned__(4)))

/**
 * struct blk_snap_compat_cbt_info - &struct blk_snap_cbt_info of a 32-bit program
 * @dev_id: the original device
 * @blk_size: size of a tracking block in bytes
 * @device_capacity: size of the device in bytes, without the hole before it
 * @blk_count: number of tracking blocks
 * @generation_id: generation of the map
 * @snap_number: number of the last snapshot
 * @hole: reads as zero
 */
struct blk_snap_compat_cbt_info {
	struct blk_snap_dev dev_id;
	__u32 blk_size;
	__u64 device_capacity;
	__u32 blk_count;
	struct blk_snap_uuid generation_id;
	__u8 snap_number;
	__u8 hole[3];
} __blk_snap_i386;

/**
 * struct blk_snap_compat_tracker_collect - &struct blk_snap_tracker_collect of a 32-bit program
 * @count: room in the array, number of trackers
 * @cbt_info_array: pointer to &struct blk_snap_compat_cbt_info
 */
struct blk_snap_compat_tracker_collect {
	__u32 count;
	__u32 cbt_info_array;
} __blk_snap_i386;

/**
 * struct blk_snap_compat_tracker_read_cbt_bitmap - the same request of a 32-bit program
 * @dev_id: the original device
 * @offset: first byte of the map to copy
 * @length: room in the buffer in bytes
 * @buff: pointer to bytes
 */
struct blk_snap_compat_tracker_read_cbt_bitmap {
	struct blk_snap_dev dev_id;
	__u32 offset;
	__u32 length;
	__u32 buff;
} __blk_snap_i386;

/**
 * struct blk_snap_compat_tracker_mark_dirty_blocks - the same request of a 32-bit program
 * @dev_id: an original device or an image
 * @count: number of ranges
 * @dirty_blocks_array: pointer to &struct blk_snap_block_range
 */
struct blk_snap_compat_tracker_mark_dirty_blocks {
	struct blk_snap_dev dev_id;
	__u32 count;
	__u32 dirty_blocks_array;
} __blk_snap_i386;

/**
 * struct blk_snap_compat_snapshot_create - the same request of a 32-bit program
 * @count: number of devices
 * @dev_id_array: pointer to &struct blk_snap_dev
 * @id: out: names the new snapshot
 */
struct blk_snap_compat_snapshot_create {
	__u32 count;
	__u32 dev_id_array;
	struct blk_snap_uuid id;
} __blk_snap_i386;

/**
 * struct blk_snap_compat_snapshot_append_storage - the same request of a 32-bit program
 * @id: the snapshot
 * @dev_id: the device that the ranges are on
 * @count: number of ranges
 * @ranges: pointer to &struct blk_snap_block_range
 */
struct blk_snap_compat_snapshot_append_storage {
	struct blk_snap_uuid id;
	struct blk_snap_dev dev_id;
	__u32 count;
	__u32 ranges;
} __blk_snap_i386;

/**
 * struct blk_snap_compat_snapshot_collect - the same request of a 32-bit program
 * @count: room in the array, number of snapshots
 * @ids: pointer to &struct blk_snap_uuid
 */
struct blk_snap_compat_snapshot_collect {
	__u32 count;
	__u32 ids;
} __blk_snap_i386;

/**
 * struct blk_snap_compat_snapshot_collect_images - the same request of a 32-bit program
 * @id: the snapshot
 * @count: room in the array, number of images
 * @image_info_array: pointer to &struct blk_snap_image_info
 */
struct blk_snap_compat_snapshot_collect_images {
	struct blk_snap_uuid id;
	__u32 count;
	__u32 image_info_array;
} __blk_snap_i386;

#define IOCTL_BLK_SNAP_COMPAT_TRACKER_COLLECT                                                      \
	__BLK_SNAP_IOW(2, struct blk_snap_compat_tracker_collect)
#define IOCTL_BLK_SNAP_COMPAT_TRACKER_READ_CBT_MAP                                                 \
	__BLK_SNAP_IOR(3, struct blk_snap_compat_tracker_read_cbt_bitmap)
#define IOCTL_BLK_SNAP_COMPAT_TRACKER_MARK_DIRTY_BLOCKS                                            \
	__BLK_SNAP_IOR(4, struct blk_snap_compat_tracker_mark_dirty_blocks)
#define IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_CREATE                                                      \
	__BLK_SNAP_IOW(5, struct blk_snap_compat_snapshot_create)
#define IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_APPEND_STORAGE                                              \
	__BLK_SNAP_IOW(7, struct blk_snap_compat_snapshot_append_storage)
#define IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_COLLECT                                                     \
	__BLK_SNAP_IOW(9, struct blk_snap_compat_snapshot_collect)
#define IOCTL_BLK_SNAP_COMPAT_SNAPSHOT_COLLECT_IMAGES                                              \
	__BLK_SNAP_IOW(10, struct blk_snap_compat_snapshot_collect_images)

#ifdef __cplusplus
#define __BLK_SNAP_ASSERT(condition) static_assert(condition, #condition)
#else
#define __BLK_SNAP_ASSERT(condition) _Static_assert(condition, #condition)
#endif
#define __BLK_SNAP_SIZE(noun, size)                                                                \
	__BLK_SNAP_ASSERT(sizeof(struct blk_snap_compat_##noun) == (size))
#define __BLK_SNAP_AT(noun, field, offset)                                                         \
	__BLK_SNAP_ASSERT(__builtin_offsetof(struct blk_snap_compat_##noun, field) == (offset))
#define __BLK_SNAP_NUMBER(name, number) __BLK_SNAP_ASSERT(IOCTL_BLK_SNAP_COMPAT_##name == (number))

__BLK_SNAP_SIZE(cbt_info, 44);
__BLK_SNAP_AT(cbt_info, blk_size, 8);
__BLK_SNAP_AT(cbt_info, device_capacity, 12);
__BLK_SNAP_AT(cbt_info, blk_count, 20);
__BLK_SNAP_AT(cbt_info, generation_id, 24);
__BLK_SNAP_AT(cbt_info, snap_number, 40);
__BLK_SNAP_SIZE(tracker_collect, 8);
__BLK_SNAP_AT(tracker_collect, cbt_info_array, 4);
__BLK_SNAP_SIZE(tracker_read_cbt_bitmap, 20);
__BLK_SNAP_AT(tracker_read_cbt_bitmap, buff, 16);
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
__BLK_SNAP_NUMBER(TRACKER_COLLECT, 0x40085602);
__BLK_SNAP_NUMBER(TRACKER_READ_CBT_MAP, 0x80145603);
__BLK_SNAP_NUMBER(TRACKER_MARK_DIRTY_BLOCKS, 0x80105604);
__BLK_SNAP_NUMBER(SNAPSHOT_CREATE, 0x40185605);
__BLK_SNAP_NUMBER(SNAPSHOT_APPEND_STORAGE, 0x40205607);
__BLK_SNAP_NUMBER(SNAPSHOT_COLLECT, 0x40085609);
__BLK_SNAP_NUMBER(SNAPSHOT_COLLECT_IMAGES, 0x4018560a);

#undef __BLK_SNAP_NUMBER
#undef __BLK_SNAP_AT
#undef __BLK_SNAP_SIZE
#undef __BLK_SNAP_ASSERT
#undef __blk_snap_i386

#endif /* _UAPI_BLKSNAP_COMPAT_H */
