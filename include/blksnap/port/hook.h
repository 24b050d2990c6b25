/* SPDX-License-Identifier: GPL-2.0 */
/* Port: the hook where bios enter the block layer, and the table of hooked disks. */
#ifndef BLKSNAP_PORT_HOOK_H
#define BLKSNAP_PORT_HOOK_H

#include <blksnap/port/base.h>

struct shim_bdev;

SHIM_BEGIN
/* Registers the hook. Context: process. Return: 0, -EBUSY if something else sits there; the
 * backend has logged what and what to do. */
int shim_hook_install(void) SHIM_NOEXCEPT;
/* Removes it and waits until no task is inside. No disk may be in the table. If the kernel refuses, the hook stays, and
 * the module with it; while the module is being unloaded this never returns then. Context: process. */
void shim_hook_remove(void) SHIM_NOEXCEPT;

/* From here on data-changing bios to the whole disk under @bdev (all its partitions) come to
 * blksnap_write_submit(@disk). Context: process. Return: 0, -ENOMEM. */
int shim_hook_add_disk(struct shim_bdev *bdev, void *disk) SHIM_NOEXCEPT;
/* Takes @disk out of the table. Calls already inside end with the next RCU grace period, which
 * the caller waits for. Context: process. */
void shim_hook_del_disk(void *disk) SHIM_NOEXCEPT;
SHIM_END

#endif
