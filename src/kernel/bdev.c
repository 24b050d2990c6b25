// SPDX-License-Identifier: GPL-2.0
/*
 * Device port: opening, remembering, describing and settling block devices.
 *
 * An open device (shim_bdev) counts as opener and pins the driver. A remembered one
 * (shim_device) holds only the memory of the kernel's objects, by their inodes: it must not keep
 * lvremove, a re-read of partitions, losetup -d or rmmod of the driver from working. A reference to
 * the device would, in a way: the last one calls the driver, which may have been unloaded. So what a
 * remembered device tells is read without locks and without the driver's operations.
 */
#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/major.h>
#include <linux/part_stat.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <blksnap/port/bdev.h>
#include <blksnap/port/control.h>
#include "blksnap-features.h"
#include "bdev.h"
#include "image.h"
#include "stack.h"

/* How long settling waits for a queue to drain, and for a device that has none. */
#define SETTLE_QUEUE_MS 5000
#define SETTLE_HIDDEN_MS 500
#define SETTLE_STATISTICS_MS 1000

/* What cannot change while the kernel's object lives. */
struct device_nature {
	bool stacked;
	bool image;
	int untrackable;
	const char *why;
};

struct shim_device {
	struct block_device *bdev;
	struct inode *inode, *inode_of_disk; /* the latter's memory is the disk's */
	struct device_nature nature;
};

#ifdef HAVE_BDEV_FILE

int bdev_open_by_number(dev_t number, struct shim_bdev *opened)
{
	struct file *file = bdev_file_open_by_dev(number, BLK_OPEN_READ, NULL, NULL);

	if (IS_ERR(file))
		return PTR_ERR(file);
	*opened = (struct shim_bdev){.bdev = file_bdev(file), .file = file};
	return 0;
}

void bdev_close(struct shim_bdev *opened)
{
	/* bdev_fput() would leave the device busy until its task returns to user space. */
	__fput_sync(opened->file);
}

#else

int bdev_open_by_number(dev_t number, struct shim_bdev *opened)
{
	struct block_device *bdev = blkdev_get_by_dev(number, FMODE_READ, NULL);

	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	*opened = (struct shim_bdev){.bdev = bdev};
	return 0;
}

void bdev_close(struct shim_bdev *opened)
{
	blkdev_put(opened->bdev, FMODE_READ);
}

#endif

/* --- liveness --------------------------------------------------------------------------- */

static unsigned long partition_number(struct block_device *bdev)
{
#ifdef HAVE_BDEV_PARTNO
	return bdev_partno(bdev);
#else
	return bdev->bd_partno;
#endif
}

static struct inode *inode_of(struct block_device *bdev)
{
#ifdef HAVE_BDEV_MAPPING
	return bdev->bd_mapping->host;
#else
	return bdev->bd_inode;
#endif
}

/* Within an RCU read section the queue of a device that is alive stays, too. */
static bool is_alive(struct block_device *bdev)
{
	struct gendisk *disk = bdev->bd_disk;

	return !test_bit(GD_DEAD, &disk->state) && disk_live(disk) &&
	       xa_load(&disk->part_tbl, partition_number(bdev)) == bdev;
}

/* --- opening ---------------------------------------------------------------------------- */

int shim_bdev_open(shim_u32 major, shim_u32 minor, struct shim_bdev **opened)
{
	struct shim_bdev *handle;
	int error;

	if (MAJOR(MKDEV(major, minor)) != major || MINOR(MKDEV(major, minor)) != minor)
		return -ENXIO;
	handle = kmalloc(sizeof(*handle), GFP_KERNEL);
	if (!handle)
		return -ENOMEM;
	error = bdev_open_by_number(MKDEV(major, minor), handle);
	/*
	 * The kernel looks a partition up before it takes the lock under which tables are read
	 * again. So it may hand out one that was dropped meanwhile, even by this very open, with
	 * another one in its place that has its number and its sectors.
	 */
	if (!error && !is_alive(handle->bdev)) {
		bdev_close(handle);
		error = -EAGAIN;
	}
	if (error) {
		kfree(handle);
		return error;
	}
	*opened = handle;
	return 0;
}

void shim_bdev_close(struct shim_bdev *handle)
{
	bdev_close(handle);
	kfree(handle);
}

/* --- what a device is ---------------------------------------------------------------------- */

/* Swap and the page cache write to such disks without a bio. */
static bool bypasses_bios(struct gendisk *disk)
{
#ifdef HAVE_RW_PAGE
	return disk->fops->rw_page;
#else
	return false;
#endif
}

/* Does I/O to the disk end on other disks of this machine? Bio-based drivers are taken for
 * stacked ones; request-based dm and loop are told by name and number. */
static bool is_stacked(struct gendisk *disk)
{
	if (image_disk_is_ours(disk) || bypasses_bios(disk))
		return false;
	return disk->fops->submit_bio || disk->major == LOOP_MAJOR ||
	       !strncmp(disk->disk_name, "dm-", 3);
}

static const char *untrackable_why(struct block_device *bdev)
{
	struct gendisk *disk = bdev->bd_disk;

	if (!bdev_nr_sectors(bdev))
		return "it has no capacity";
	if (bdev_is_zoned(bdev))
		return "it is a zoned device";
	if (bdev_get_integrity(bdev))
		return "it carries integrity metadata";
	if (bdev_logical_block_size(bdev) > PAGE_SIZE)
		return "its blocks are larger than a page";
	if (bypasses_bios(disk))
		return "its driver takes pages past the block layer (rw_page)";
	return NULL;
}

/* Copies are written in the order in which they are made, and read back at once. */
static void describe_as_store(struct block_device *bdev, struct shim_bdev_info *info)
{
	if (bdev_is_zoned(bdev)) {
		info->unstorable = EINVAL;
		info->unstorable_why = "it is a zoned device";
	} else if (bdev_read_only(bdev)) {
		info->unstorable = EROFS;
		info->unstorable_why = "it is read-only";
	}
}

/* The device is open: its driver cannot go away. */
static struct device_nature nature_of(struct block_device *bdev)
{
	struct device_nature nature = {
		.stacked = is_stacked(bdev->bd_disk),
		.image = image_disk_is_ours(bdev->bd_disk),
		.why = untrackable_why(bdev),
	};

	nature.untrackable = nature.why ? EOPNOTSUPP : 0;
	return nature;
}

static void describe(struct block_device *bdev, const struct device_nature *nature,
		     struct shim_bdev_info *info)
{
	struct gendisk *disk = bdev->bd_disk;

	*info = (struct shim_bdev_info){
		.major = MAJOR(bdev->bd_dev),
		.minor = MINOR(bdev->bd_dev),
		.disk_key = (uintptr_t)disk,
		.start_sector = bdev->bd_start_sect,
		.sectors = bdev_nr_sectors(bdev),
		.diskseq = disk->diskseq,
		/* An upper device is younger than the ones it stands on. */
		.stack_rank = nature->stacked ? disk->diskseq + 1 : 0,
		.logical_block_bytes = bdev_logical_block_size(bdev),
		.physical_block_bytes = bdev_physical_block_size(bdev),
		.major_of_disk = disk->major,
		.minor_of_disk = disk->first_minor,
		.is_partition = bdev_is_partition(bdev),
		.is_image = nature->image,
		.untrackable = nature->untrackable,
		.untrackable_why = nature->why,
	};
	describe_as_store(bdev, info);
	snprintf(info->name, sizeof(info->name), "%pg", bdev);
}

/* Unlike what a device is, this comes and goes. */
static void describe_users(struct block_device *bdev, struct shim_bdev_info *info)
{
	int error = stack_sends_requests(bdev->bd_disk);

	if (!error)
		return;
	info->untrackable = error < 0 ? -error : EOPNOTSUPP;
	info->untrackable_why =
		error < 0
			? "what stands on it cannot be found out"
			: "multipath sends requests past the block layer's bios; name the multipath device";
}

void shim_bdev_describe(struct shim_bdev *handle, struct shim_bdev_info *info)
{
	struct device_nature nature = nature_of(handle->bdev);

	describe(handle->bdev, &nature, info);
	if (!info->untrackable)
		describe_users(handle->bdev, info);
}

/* --- remembered devices -------------------------------------------------------------------- */

struct shim_device *shim_device_remember(struct shim_bdev *handle)
{
	struct shim_device *device = kmalloc(sizeof(*device), GFP_KERNEL);

	if (!device)
		return NULL;
	device->bdev = handle->bdev;
	device->inode = inode_of(handle->bdev);
	device->inode_of_disk = inode_of(bdev_whole(handle->bdev));
	ihold(device->inode);
	ihold(device->inode_of_disk);
	device->nature = nature_of(handle->bdev);
	return device;
}

void shim_device_forget(struct shim_device *device)
{
	iput(device->inode);
	iput(device->inode_of_disk);
	kfree(device);
}

int shim_device_describe(struct shim_device *device, struct shim_bdev_info *info)
{
	bool alive;

	rcu_read_lock();
	alive = is_alive(device->bdev);
	if (alive)
		describe(device->bdev, &device->nature, info);
	rcu_read_unlock();
	return alive ? 0 : -ENODEV;
}

/* --- settling ------------------------------------------------------------------------------ */

static void unfreeze_queue(struct request_queue *queue)
{
#ifdef HAVE_UNFREEZE_NOMEMRESTORE
	blk_mq_unfreeze_queue_nomemrestore(queue);
#else
	blk_mq_unfreeze_queue(queue);
#endif
}

static bool settle_queue(struct request_queue *queue)
{
	unsigned int noio;
	bool settled;

	/* An allocation that waits for I/O of this queue would wait for ever. */
	noio = memalloc_noio_save();
	blk_freeze_queue_start(queue);
	settled = blk_mq_freeze_queue_wait_timeout(queue, msecs_to_jiffies(SETTLE_QUEUE_MS)) > 0;
	unfreeze_queue(queue);
	memalloc_noio_restore(noio);
	return settled;
}

static long writes_in_flight(struct block_device *bdev)
{
	long writes = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		writes += part_stat_local_read_cpu(bdev, in_flight[WRITE], cpu);
	return writes;
}

/* Drivers without a request queue are believed when their statistics show no write once, but not at
 * once: device mapper's thin, crypt, cache and delay show a write only when they pass it down. */
static bool settle_statistics(struct block_device *bdev, u64 since_ns)
{
	u64 credible_ns = since_ns + SETTLE_HIDDEN_MS * NSEC_PER_MSEC;
	unsigned long end = jiffies + msecs_to_jiffies(SETTLE_STATISTICS_MS);

	while (shim_clock_ns() < credible_ns || writes_in_flight(bdev) > 0 ||
	       writes_in_flight(bdev_whole(bdev)) > 0) {
		if (time_after(jiffies, end))
			return false;
		msleep(10);
	}
	return true;
}

int shim_bdev_settle(struct shim_bdev *handle, shim_u64 since_ns)
{
	struct block_device *bdev = handle->bdev;
	struct request_queue *queue = bdev_get_queue(bdev);
	bool settled;

	/* Whoever was inside submit_bio_noacct(), behind the hook, has slept since, which
	 * flushes plugs: its bio is in the queue now. */
#ifdef CONFIG_TASKS_RCU
	synchronize_rcu_tasks();
#else
	synchronize_rcu();
#endif
	sync_blockdev(bdev);
	settled = queue_is_mq(queue) ? settle_queue(queue) : settle_statistics(bdev, since_ns);
	return settled ? 0 : -ETIMEDOUT;
}

int shim_bdev_stands_on(struct shim_bdev *upper, struct shim_bdev *lower)
{
	struct gendisk *disk = upper->bdev->bd_disk;

	return is_stacked(disk) ? stack_reaches(disk, lower) : 0;
}

shim_u32 shim_bdev_first_below(struct shim_bdev *upper, struct shim_bdev *const *lowers,
			       shim_u32 count)
{
	struct gendisk *disk = upper->bdev->bd_disk;

	return is_stacked(disk) && count ? stack_first_below(disk, lowers, count) : count;
}

/* --- allocation scope ---------------------------------------------------------------------- */

unsigned shim_noio_begin(void)
{
	return memalloc_noio_save();
}

void shim_noio_end(unsigned cookie)
{
	memalloc_noio_restore(cookie);
}
