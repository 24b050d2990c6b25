/* SPDX-License-Identifier: GPL-2.0 */
/* Block devices: the kernel's object behind an open device of the port. */
#ifndef BLKSNAP_KERNEL_BDEV_H
#define BLKSNAP_KERNEL_BDEV_H

#include <linux/blkdev.h>
#include <blksnap/port/bdev.h>

struct shim_bdev {
	struct block_device *bdev;
};

/* Opens for reading, without a claim; own writes are possible nevertheless, as the block layer
 * looks at the device being read-only, not at how it was opened. Context: process. */
struct block_device *bdev_open(dev_t number);
void bdev_close(struct block_device *bdev);

#endif
