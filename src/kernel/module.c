// SPDX-License-Identifier: GPL-2.0
/*
 * Module: load and unload.
 *
 * The control device appears last and goes first. When blksnap_module_exit() has returned, no
 * bio refers to us any more; what may still be running is the end of a completion or of the
 * hook, which two grace periods cover.
 */
#include <linux/errno.h>
#include <linux/module.h>
#include <blksnap/port/control.h>
#include "bio.h"
#include "chardev.h"
#include "image.h"
#include "stack.h"

/* The core names these numbers itself (base/result.hpp). */
static_assert(EPERM == 1 && ENOENT == 2 && ESRCH == 3 && EINTR == 4 && EIO == 5 && ENXIO == 6);
static_assert(EAGAIN == 11 && ENOMEM == 12 && EFAULT == 14 && EBUSY == 16 && EEXIST == 17);
static_assert(ENODEV == 19 && EINVAL == 22 && ENOTTY == 25 && EFBIG == 27 && ENOSPC == 28);
static_assert(ERANGE == 34 && ENODATA == 61 && EOPNOTSUPP == 95 && ENOBUFS == 105);
static_assert(ETIMEDOUT == 110 && EALREADY == 114);

static int __init backend_init(void)
{
	int error;

	bio_learn_chains();
	error = bio_pools_create();
	if (error)
		return error;
	error = stack_init();
	if (error)
		goto pools;
	error = image_major_register();
	if (!error)
		return 0;
	stack_exit();
pools:
	bio_pools_destroy();
	return error;
}

static void backend_exit(void)
{
	stack_exit();
	image_major_unregister();
	bio_wait_for_completions();
	bio_pools_destroy();
}

static int __init blksnap_init(void)
{
	int error = backend_init();

	if (error)
		return error;
	error = blksnap_module_init();
	if (error)
		goto backend;
	error = chardev_create();
	if (!error)
		return 0;
	blksnap_module_exit();
backend:
	backend_exit();
	return error;
}

static void __exit blksnap_exit(void)
{
	chardev_destroy();
	blksnap_module_exit();
	backend_exit();
}

module_init(blksnap_init);
module_exit(blksnap_exit);

MODULE_DESCRIPTION("Block device snapshots with change tracking");
MODULE_VERSION("1.0.0.0");
MODULE_LICENSE("GPL");
