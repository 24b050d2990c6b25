/* SPDX-License-Identifier: GPL-2.0 */
/* Port: block devices of others (origins and store devices), file systems on them. */
#ifndef BLKSNAP_PORT_BDEV_H
#define BLKSNAP_PORT_BDEV_H

#include <blksnap/port/base.h>

/* An open device: read-only mode, no exclusive claim; I/O is allowed both ways. */
struct shim_bdev;
/* A device remembered, not open: keeps the kernel's object in memory, so that its address is
 * not given to another device; does not keep the device alive. */
struct shim_device;

struct shim_bdev_info {
	shim_u32 major, minor;
	shim_u64 disk_key;     /* identifies the whole disk while the info's source is held */
	shim_u64 start_sector; /* of a partition within its disk, else 0 */
	shim_u64 sectors;      /* capacity */
	shim_u64 diskseq;      /* changes with the medium */
	/* 0 for plain disks; for stacked ones (dm, md, loop, ...) a number that is higher for
	 * upper devices than for the ones they stand on. */
	shim_u64 stack_rank;
	shim_u32 logical_block_bytes;
	shim_u32 physical_block_bytes;
	shim_u32 major_of_disk, minor_of_disk;
	shim_u8 is_partition;
	shim_u8 is_image; /* one of our own image devices */
	/* 0, or why writes to this device cannot be tracked: EOPNOTSUPP, or what kept that from being found out. */
	int untrackable; /* positive errno */
	const char *untrackable_why;
	/* 0, or why it cannot hold copies. */
	int unstorable; /* positive errno */
	const char *unstorable_why;
	char name[32]; /* as the kernel calls it, "sda1" */
};

SHIM_BEGIN
/* Opens @major:@minor. Context: process. Return: 0, -EAGAIN if the device was replaced by another
 * one of this number meanwhile (a partition whose table is read again), or the open error. */
int shim_bdev_open(shim_u32 major, shim_u32 minor, struct shim_bdev **bdev) SHIM_NOEXCEPT;
void shim_bdev_close(struct shim_bdev *bdev) SHIM_NOEXCEPT;
/* Context: process. */
void shim_bdev_describe(struct shim_bdev *bdev, struct shim_bdev_info *info) SHIM_NOEXCEPT;

/* Context: process. Return: NULL if memory is short. */
struct shim_device *shim_device_remember(struct shim_bdev *bdev) SHIM_NOEXCEPT;
void shim_device_forget(struct shim_device *device) SHIM_NOEXCEPT;
/* The present state. Return: 0, or -ENODEV when the device is gone. Context: process. */
int shim_device_describe(struct shim_device *device, struct shim_bdev_info *info) SHIM_NOEXCEPT;

/**
 * shim_bdev_settle() - wait until writes have ended that were submitted before a moment
 * @since_ns: shim_clock_ns() of that moment; not later than the call
 *
 * Called after a tracker has been published: waits for submitters inside the block layer,
 * freezes and unfreezes the queue where the disk has one, syncs the page cache of the device. Where
 * there is no queue to freeze it waits until half a second has passed, for drivers that show a write
 * late in the statistics, and until their in-flight count was seen at zero, for up to a second.
 * Context: process. Return: 0, or -ETIMEDOUT if writes may still be in flight.
 */
int shim_bdev_settle(struct shim_bdev *bdev, shim_u64 since_ns) SHIM_NOEXCEPT;

/* Whether I/O to @upper may reach the disk of @lower through a stacked driver, as far as
 * the kernel shows it. Context: process. Return: 1, 0, or -errno if it cannot be found out. */
int shim_bdev_stands_on(struct shim_bdev *upper, struct shim_bdev *lower) SHIM_NOEXCEPT;
/* Which of @lowers is the first whose disk I/O to @upper may reach? Unlike above, a device that hides what it
 * stands on (a loop device) is taken to stand on all, and so if it cannot be found out.
 * Context: process, nothing frozen. Return: its index, or @count if there is none. */
shim_u32 shim_bdev_first_below(struct shim_bdev *upper, struct shim_bdev *const *lowers,
			       shim_u32 count) SHIM_NOEXCEPT;

/*
 * A freezer freezes the file systems of a set of devices and thaws exactly what it froze. For a
 * whole disk the file systems on its partitions are frozen too; each file system once.
 *
 * The set has levels: what stands on something else comes in an earlier one. All are added before
 * the first is frozen, since nothing may be needed then that waits for a file system.
 */
struct shim_freezer;
struct shim_freezer *shim_freezer_create(void) SHIM_NOEXCEPT;
/* Adds a level of @count devices. One for which memory or threads are short is logged and will not
 * be frozen. Context: process. Return: 0, or -errno, then the caller destroys: -EINTR, it is killed, or
 * -EBUSY, a freeze that was late goes on still, and is logged. */
int shim_freezer_add(struct shim_freezer *freezer, struct shim_bdev *const *bdevs,
		     shim_u32 count) SHIM_NOEXCEPT;
/**
 * shim_freezer_freeze() - freeze the next level, its file systems in parallel
 *
 * A device without a file system, or one that somebody else froze or that fails to freeze is
 * logged and left alone.
 * Context: process. Return: 0, or -ETIMEDOUT: then the caller thaws and gives up; what gets
 * frozen late is thawed by itself.
 */
int shim_freezer_freeze(struct shim_freezer *freezer, shim_u32 timeout_ms) SHIM_NOEXCEPT;
/* Thaws all that was frozen, the last level first; none waits longer than a few seconds for another
 * one. Waits for all, but not for those whose freeze is late. Context: process. */
void shim_freezer_thaw(struct shim_freezer *freezer) SHIM_NOEXCEPT;
/* Thaws if that was not done, and frees. */
void shim_freezer_destroy(struct shim_freezer *freezer) SHIM_NOEXCEPT;

/* From here until the end no allocation of this thread starts I/O. Return: a cookie. */
unsigned shim_noio_begin(void) SHIM_NOEXCEPT;
void shim_noio_end(unsigned cookie) SHIM_NOEXCEPT;
SHIM_END

#endif
