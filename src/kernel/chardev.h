/* SPDX-License-Identifier: GPL-2.0 */
/* Control device: life of the node /dev/blksnap. */
#ifndef BLKSNAP_KERNEL_CHARDEV_H
#define BLKSNAP_KERNEL_CHARDEV_H

/* Shows the node; ioctls may come before this returns. Context: process. */
int chardev_create(void);
void chardev_destroy(void);

#endif
