/* SPDX-License-Identifier: GPL-2.0 */
/* Bios: what the files of the bio port share, and the life of what is behind it. */
#ifndef BLKSNAP_KERNEL_BIO_H
#define BLKSNAP_KERNEL_BIO_H

#include <linux/bio.h>
#include <blksnap/port/bio.h>

static inline enum shim_image_op image_op(struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return SHIM_IMAGE_READ;
	case REQ_OP_WRITE:
		return bio_sectors(bio) ? SHIM_IMAGE_WRITE : SHIM_IMAGE_FLUSH;
	default:
		return SHIM_IMAGE_OTHER;
	}
}

/* What a bio asks an image for. Context: any. */
static inline struct shim_image_request image_request(struct bio *bio)
{
	return (struct shim_image_request){
		.sector = bio->bi_iter.bi_sector,
		.sectors = bio_sectors(bio),
		.op = image_op(bio),
	};
}

/* An own bio has one of these as bi_pool (io.c). */
extern struct bio_set page_bios;
extern struct bio_set clone_bios;

static inline bool bio_is_own(struct bio *bio)
{
	return bio->bi_pool == &page_bios || bio->bi_pool == &clone_bios;
}

/* Where @bytes of a bio lie that begin @offset behind its start. Context: any. */
struct bvec_iter bio_part(struct bio *bio, struct shim_bio_cursor *shim, shim_u32 offset,
			  shim_u32 bytes);

/* Finds out how the kernel marks a bio of a chain. Comes before the first admission. Context: process. */
void bio_learn_chains(void);
/* Makes the pools. Context: process. Return: 0, -ENOMEM. */
int bio_pools_create(void);
/* Every completion that has begun has left our text when this returns. Context: process. */
void bio_wait_for_completions(void);
/* No own bio may be left, and no completion may be running. Context: process. */
void bio_pools_destroy(void);

#endif
