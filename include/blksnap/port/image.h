/* SPDX-License-Identifier: GPL-2.0 */
/* Port: the block devices that show images. */
#ifndef BLKSNAP_PORT_IMAGE_H
#define BLKSNAP_PORT_IMAGE_H

#include <blksnap/port/bio.h>

struct shim_image_disk;

SHIM_BEGIN
/**
 * shim_image_disk_create() - make a device for @image; nobody sees it yet
 * @origin: the device whose block sizes and limits it takes over
 * @snapshot: the UUID of its snapshot as text, for whoever meets the device
 *
 * Gives it the lowest free minor. Context: process.
 */
int shim_image_disk_create(void *image, struct shim_bdev *origin, shim_u64 sectors,
			   const char *snapshot, struct shim_image_disk **disk) SHIM_NOEXCEPT;
/* Shows it; requests may come before this returns. Context: process. */
int shim_image_disk_add(struct shim_image_disk *disk) SHIM_NOEXCEPT;
void shim_image_disk_number(struct shim_image_disk *disk, shim_u32 *major,
			    shim_u32 *minor) SHIM_NOEXCEPT;
/* Removes it, also while it is open or mounted: when this returns no request is inside
 * blksnap_image_submit() and none will come. Requests already taken must still be ended by
 * the core, which may happen before or after. Frees @disk (never added, too). Context: process. */
void shim_image_disk_remove(struct shim_image_disk *disk) SHIM_NOEXCEPT;

/* The core's side: this request came. Context: process (current->bio_list is set). */
void blksnap_image_submit(void *image, struct bio *bio,
			  struct shim_image_request request) SHIM_NOEXCEPT;
SHIM_END

#endif
