// SPDX-License-Identifier: GPL-2.0
/*
 * Image port: the block devices that show images.
 *
 * Bio-based disks of an own major; minor and name carry the same number, the lowest free one:
 * clients build the name from the minor. A number is free again when its disk is removed, but not
 * before who had claimed that lets go of it. The block layer does not split bios of such disks, so
 * the core takes any size. There is no write cache to flush, no discard, no partition scan.
 *
 * While somebody holds an image open the module cannot be unloaded; the disk itself can be
 * removed at any time, and then answers nothing but errors.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <blksnap/port/image.h>
#include "blksnap-features.h"
#include "bdev.h"
#include "bio.h"
#include "image.h"

#define IMAGE_NAME "blksnap-image"

struct shim_image_disk {
	struct gendisk *disk;
	int number;
	bool added;
	char snapshot[37];
	char origin[BDEVNAME_SIZE];
};

static int image_major;
static DEFINE_IDA(image_numbers);
static atomic_t disks_added = ATOMIC_INIT(0); /* until they are freed */

static void image_submit_bio(struct bio *bio)
{
	blksnap_image_submit(bio->bi_bdev->bd_disk->private_data, bio, image_request(bio));
}

static char *image_devnode(struct gendisk *disk, umode_t *mode)
{
	/* NULL when the node is removed. */
	if (mode)
		*mode = 0600;
	return NULL;
}

/* Kernels tell a mounted file system by the number of its device: as long as it is mounted that must be
 * nobody else's, or a mount of the next image shows what is gone. */
static bool is_claimed(struct gendisk *disk)
{
	return READ_ONCE(disk->part0->bd_holder);
}

static void keep_number(struct gendisk *disk)
{
	dev_set_drvdata(disk_to_dev(disk), &image_numbers);
}

static bool has_number(struct gendisk *disk)
{
	return dev_get_drvdata(disk_to_dev(disk)) == &image_numbers;
}

/* The last who had it open has let go of it. */
static void image_free_disk(struct gendisk *disk)
{
	if (has_number(disk))
		ida_free(&image_numbers, disk->first_minor);
	atomic_dec(&disks_added);
}

static const struct block_device_operations image_operations = {
	.owner = THIS_MODULE,
	.submit_bio = image_submit_bio,
	.devnode = image_devnode,
	.free_disk = image_free_disk,
};

/* --- sysfs: whose image it is, for udev ----------------------------------------------------- */

static ssize_t snapshot_show(struct device *device, struct device_attribute *attribute,
			     char *buffer)
{
	struct shim_image_disk *handle = dev_get_drvdata(device);

	return sysfs_emit(buffer, "%s\n", handle->snapshot);
}
static DEVICE_ATTR_RO(snapshot);

static ssize_t origin_show(struct device *device, struct device_attribute *attribute, char *buffer)
{
	struct shim_image_disk *handle = dev_get_drvdata(device);

	return sysfs_emit(buffer, "%s\n", handle->origin);
}
static DEVICE_ATTR_RO(origin);

static struct attribute *image_attributes[] = {
	&dev_attr_snapshot.attr,
	&dev_attr_origin.attr,
	NULL,
};

static const struct attribute_group image_group = {
	.name = "blksnap",
	.attrs = image_attributes,
};

static const struct attribute_group *image_groups[] = {&image_group, NULL};

/* --- the disk ------------------------------------------------------------------------------- */

bool image_disk_is_ours(struct gendisk *disk)
{
	return disk->fops == &image_operations;
}

int image_major_register(void)
{
	image_major = register_blkdev(0, IMAGE_NAME);
	return image_major < 0 ? image_major : 0;
}

void image_major_unregister(void)
{
	/* Who closes an image lets go of the module first, of the disk right after. */
	while (atomic_read(&disks_added))
		msleep(1);
	unregister_blkdev(image_major, IMAGE_NAME);
}

/* Whoever may read the origin in some unit may read the image in it, and a read can be passed
 * on to the origin without a copy. */
static void take_over_limits(struct queue_limits *limits, struct block_device *origin)
{
	blk_set_stacking_limits(limits);
	blk_stack_limits(limits, &bdev_get_queue(origin)->limits, origin->bd_start_sect);
	/* Some stores (dm-crypt) want memory that is aligned to their blocks, which are no larger. */
	limits->dma_alignment = max(limits->dma_alignment, limits->logical_block_size - 1);
	limits->max_discard_sectors = 0;
	limits->max_hw_discard_sectors = 0;
	limits->discard_granularity = 0;
	limits->max_secure_erase_sectors = 0;
	limits->max_write_zeroes_sectors = 0;
#ifdef HAVE_USER_DISCARD_LIMIT
	limits->max_user_discard_sectors = 0;
#endif
#ifdef HAVE_WZEROES_UNMAP_LIMIT
	limits->max_hw_wzeroes_unmap_sectors = 0;
	limits->max_user_wzeroes_unmap_sectors = 0;
#endif
#ifdef HAVE_QUEUE_FEATURES
	limits->features &= ~(BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA);
#endif
}

#ifdef HAVE_ALLOC_DISK_LIMITS

static struct gendisk *alloc_disk_like(struct block_device *origin)
{
	struct queue_limits limits;
	struct gendisk *disk;

	take_over_limits(&limits, origin);
	disk = blk_alloc_disk(&limits, NUMA_NO_NODE);
	return IS_ERR(disk) ? NULL : disk;
}

#else

static struct gendisk *alloc_disk_like(struct block_device *origin)
{
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);

	if (!disk)
		return NULL;
	take_over_limits(&disk->queue->limits, origin);
	blk_queue_write_cache(disk->queue, false, false);
	if (bdev_nonrot(origin))
		blk_queue_flag_set(QUEUE_FLAG_NONROT, disk->queue);
	return disk;
}

#endif

static struct gendisk *disk_create(void *image, struct block_device *origin, sector_t sectors,
				   int number)
{
	struct gendisk *disk = alloc_disk_like(origin);

	if (!disk)
		return NULL;
	disk->major = image_major;
	disk->first_minor = number;
	disk->minors = 1;
	disk->flags |= GENHD_FL_NO_PART;
	disk->fops = &image_operations;
	disk->private_data = image;
	snprintf(disk->disk_name, DISK_NAME_LEN, IMAGE_NAME "%d", number);
	set_capacity(disk, sectors);
	return disk;
}

int shim_image_disk_create(void *image, struct shim_bdev *origin, shim_u64 sectors,
			   const char *snapshot, struct shim_image_disk **created)
{
	struct shim_image_disk *handle = kzalloc(sizeof(*handle), GFP_KERNEL);
	int error = -ENOMEM;

	if (!handle)
		return -ENOMEM;
	handle->number = ida_alloc_max(&image_numbers, MINORMASK, GFP_KERNEL);
	if (handle->number < 0) {
		error = handle->number;
		goto free_handle;
	}
	handle->disk = disk_create(image, origin->bdev, sectors, handle->number);
	if (!handle->disk)
		goto free_number;
	strscpy(handle->snapshot, snapshot, sizeof(handle->snapshot));
	snprintf(handle->origin, sizeof(handle->origin), "%pg", origin->bdev);
	dev_set_drvdata(disk_to_dev(handle->disk), handle);
	*created = handle;
	return 0;

free_number:
	ida_free(&image_numbers, handle->number);
free_handle:
	kfree(handle);
	return error;
}

int shim_image_disk_add(struct shim_image_disk *handle)
{
	int error = device_add_disk(NULL, handle->disk, image_groups);

	/* It does not look whether there was memory for the name. */
	if (error == -EINVAL && !dev_name(disk_to_dev(handle->disk)))
		error = -ENOMEM;
	handle->added = !error;
	if (handle->added)
		atomic_inc(&disks_added);
	return error;
}

void shim_image_disk_number(struct shim_image_disk *handle, shim_u32 *major, shim_u32 *minor)
{
	*major = image_major;
	*minor = handle->number;
}

void shim_image_disk_remove(struct shim_image_disk *handle)
{
	if (handle->added) {
		/* First of all new requests fail, so that writeback of a mounted image ends. */
		blk_mark_disk_dead(handle->disk);
		del_gendisk(handle->disk);
	}
	if (is_claimed(handle->disk)) /* nobody can claim it from now on */
		keep_number(handle->disk);
	else
		ida_free(&image_numbers, handle->number);
	put_disk(handle->disk);
	kfree(handle);
}
