/* SPDX-License-Identifier: GPL-2.0 */
/* Images: the major number of image devices, and how to tell them from other disks. */
#ifndef BLKSNAP_KERNEL_IMAGE_H
#define BLKSNAP_KERNEL_IMAGE_H

#include <linux/types.h>

struct gendisk;

/* Context: process. Return: 0 or -errno. */
int image_major_register(void);
void image_major_unregister(void);

/* Context: any, while the disk's driver cannot go away (the disk is open). */
bool image_disk_is_ours(struct gendisk *disk);

#endif
