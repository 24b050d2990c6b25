/* SPDX-License-Identifier: GPL-2.0 */
/* Port: callers, parameters, time; and the module's entry points. */
#ifndef BLKSNAP_PORT_CONTROL_H
#define BLKSNAP_PORT_CONTROL_H

#include <blksnap/port/base.h>

struct shim_params {
	shim_u32 tracking_block_minimum_shift;
	shim_u32 tracking_block_maximum_count;
	shim_u32 chunk_minimum_shift;
	shim_u32 chunk_maximum_count;
	shim_u32 chunk_maximum_in_cache;
	shim_u32 free_diff_buffer_pool_size; /* pages kept ready per device */
	shim_u64 diff_storage_minimum;	     /* sectors */
	shim_u32 storage_on_origin_after_take;
	shim_u32 cow_memory_limit_kib; /* of copies not yet stored, per device */
	shim_u32 cow_timeout_ms;       /* without progress, until an image is given up */
	shim_u32 parked_limit;	       /* parked bios per disk before submitters wait */
	shim_u32 freeze_timeout_ms;
	shim_u32 drain_timeout_ms;
};

SHIM_BEGIN
/* The values at this moment. Context: process. */
void shim_params_get(struct shim_params *params) SHIM_NOEXCEPT;

/* Memory of the calling program. Return: 0, -EFAULT. Context: process. */
int shim_user_read(void *to, shim_u64 user_address, size_t bytes) SHIM_NOEXCEPT;
int shim_user_write(shim_u64 user_address, const void *from, size_t bytes) SHIM_NOEXCEPT;
/* Non-zero if the caller has CAP_SYS_ADMIN. */
int shim_user_is_admin(void) SHIM_NOEXCEPT;

/* Monotonic. For reports, and for the limit of a wait; never in the data path. Context: any. */
shim_u64 shim_clock_ns(void) SHIM_NOEXCEPT;
/* Cryptographically random. Context: process. */
void shim_random_fill(void *to, size_t bytes) SHIM_NOEXCEPT;

/* --- the core's side ----------------------------------------------------------------------- */

/* Called once at load and at unload. blksnap_module_exit() ends all snapshots and trackers and
 * returns when no bio carries a record of ours any more. Context: process. */
int blksnap_module_init(void) SHIM_NOEXCEPT;
void blksnap_module_exit(void) SHIM_NOEXCEPT;

/* An ioctl on the control device; @compat: the caller is a 32-bit program. Context: process.
 * Return: >= 0 or -errno. */
long blksnap_control_ioctl(unsigned command, shim_u64 user_argument, int compat) SHIM_NOEXCEPT;
SHIM_END

#endif
