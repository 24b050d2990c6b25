/* SPDX-License-Identifier: GPL-2.0 */
/* Block devices: the kernel's object behind an open device of the port. */
#ifndef BLKSNAP_KERNEL_BDEV_H
#define BLKSNAP_KERNEL_BDEV_H

#include <linux/blkdev.h>
#include <blksnap/port/bdev.h>

struct shim_bdev {
	struct block_device *bdev;
	struct file *file; /* how newer kernels hold a device open */
};

/* Opens for reading, without a claim; own writes are possible nevertheless, as the block layer
 * looks at the device being read-only, not at how it was opened. Context: process.
 * Return: 0 or -errno. */
int bdev_open_by_number(dev_t number, struct shim_bdev *opened);
/* When it returns the device has one opener less. */
void bdev_close(struct shim_bdev *opened);

#endif
