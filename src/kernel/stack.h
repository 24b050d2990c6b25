/* SPDX-License-Identifier: GPL-2.0 */
/* Stacks of block devices: which disks stand on which. */
#ifndef BLKSNAP_KERNEL_STACK_H
#define BLKSNAP_KERNEL_STACK_H

#include <linux/blkdev.h>

struct shim_bdev;

/* At load and unload. Return: 0 or -errno. */
int stack_init(void);
void stack_exit(void);

/* Does I/O to @upper end on @lower or a partition of it, through other disks? Both are held by the
 * caller. A stack that is too large to look through is taken to stand on everything.
 * Context: process, may sleep. Return: 1, 0, or -errno if it cannot be found out. */
int stack_reaches(struct gendisk *upper, struct shim_bdev *lower);

/* Which of @lowers is the first that I/O to @upper may end on? As above, but what hides whether it stands on
 * others is taken to stand on all, and what cannot be found out, too.
 * Context: process, may sleep. Return: its index, or @count. */
unsigned int stack_first_below(struct gendisk *upper, struct shim_bdev *const *lowers,
			       unsigned int count);

/* Does a device above put requests into the queue of @lower, which nobody sees as bios? The caller holds
 * @lower. Context: process, may sleep. Return: 1, 0, or -errno if it cannot be found out. */
int stack_sends_requests(struct gendisk *lower);

#endif
