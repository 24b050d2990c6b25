// SPDX-License-Identifier: GPL-2.0
/*
 * Bio port: own I/O.
 */
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <blksnap/port/bio.h>
#include "bdev.h"
#include "bio.h"

/* Bios with pages of ours; and bios that borrow the bvecs of an image request, which only the workers
 * of images wait for. */
struct bio_set page_bios;
struct bio_set clone_bios;

struct shim_io {
	void *owner;
	struct bio bio; /* last: bvecs follow */
};

struct cloned_io {
	u64 room[SHIM_IO_ROOM_BYTES / sizeof(u64)];
	struct shim_io io;
};

#define POOLED_BIOS 64

static_assert(SHIM_IO_MAX_PAGES <= BIO_MAX_VECS);

int bio_pools_create(void)
{
	const unsigned int front = offsetof(struct shim_io, bio);
	int error = bioset_init(&page_bios, POOLED_BIOS, front, BIOSET_NEED_BVECS);

	if (error)
		return error;
	error = bioset_init(&clone_bios, POOLED_BIOS, offsetof(struct cloned_io, io.bio), 0);
	if (error)
		bioset_exit(&page_bios);
	return error;
}

void bio_pools_destroy(void)
{
	bioset_exit(&clone_bios);
	bioset_exit(&page_bios);
}

static void io_end(struct bio *bio)
{
	struct shim_io *io = container_of(bio, struct shim_io, bio);
	bool is_clone = bio->bi_pool == &clone_bios; /* and then not ours any more */

	rcu_read_lock();
	blksnap_io_complete(io->owner, -blk_status_to_errno(bio->bi_status));
	if (!is_clone)
		bio_put(bio);
	rcu_read_unlock();
}

static struct shim_io *io_create(struct block_device *bdev, sector_t sector, blk_opf_t opf,
				 unsigned short pages, gfp_t gfp, struct bio_set *pool)
{
	/* With GFP_NOIO the pool waits for an element, it never fails. */
	struct bio *bio = bio_alloc_bioset(bdev, pages, opf, gfp, pool);

	if (!bio)
		return NULL;
	bio->bi_iter.bi_sector = sector;
	bio->bi_end_io = io_end;
	return container_of(bio, struct shim_io, bio);
}

static gfp_t io_gfp(bool may_wait)
{
	return may_wait ? GFP_NOIO : GFP_NOWAIT | __GFP_NOWARN;
}

struct shim_io *shim_io_alloc(struct shim_bdev *bdev, enum shim_io_op op, shim_u64 sector,
			      shim_u32 pages, int may_wait)
{
	/* Writers may be waiting for either; SYNC and IDLE together exempt a write from
	 * writeback throttling. */
	blk_opf_t opf =
		op == SHIM_IO_READ ? REQ_OP_READ | REQ_SYNC : REQ_OP_WRITE | REQ_SYNC | REQ_IDLE;
	struct shim_io *io =
		io_create(bdev->bdev, sector, opf, pages, io_gfp(may_wait), &page_bios);

	if (!io)
		return NULL;
	/* One copy serves many writers: it is charged to nobody. */
	bio_associate_blkg_from_css(&io->bio, blkcg_root_css);
	return io;
}

void shim_io_add_page(struct shim_io *io, struct page *page, shim_u32 bytes)
{
	struct bio *bio = &io->bio;
	struct bio_vec *last = bio->bi_io_vec + bio->bi_vcnt - 1;

	/* There is room for each page: only one that continues the last is worth the look whether
	 * they may be one segment. */
	if (bio->bi_vcnt && page == last->bv_page + (last->bv_offset + last->bv_len) / PAGE_SIZE)
		WARN_ON_ONCE(bio_add_page(bio, page, bytes, 0) != bytes);
	else if (!WARN_ON_ONCE(bio->bi_vcnt >= bio->bi_max_vecs))
		__bio_add_page(bio, page, bytes, 0);
}

void *shim_io_room(struct shim_io *io)
{
	return container_of(io, struct cloned_io, io)->room;
}

void shim_io_free(struct shim_io *io)
{
	bio_put(&io->bio);
}

struct shim_io *shim_io_clone(struct bio *parent, struct shim_bio_cursor *cursor,
			      shim_u32 offset_sectors, shim_u32 sectors, struct shim_bdev *bdev,
			      shim_u64 sector, int may_wait)
{
	/* Neither NOWAIT, POLLED, RAHEAD nor FUA: the answer must be that of the data. */
	const blk_opf_t kept =
		REQ_OP_MASK | REQ_SYNC | REQ_META | REQ_PRIO | REQ_IDLE | REQ_BACKGROUND;
	struct shim_io *io =
		io_create(bdev->bdev, 0, parent->bi_opf & kept, 0, io_gfp(may_wait), &clone_bios);
	struct bio *bio;

	if (!io)
		return NULL;
	bio = &io->bio;
	bio_set_flag(bio, BIO_CLONED);
	bio->bi_io_vec = parent->bi_io_vec;
	bio->bi_ioprio = parent->bi_ioprio;
	bio->bi_iter =
		bio_part(parent, cursor, offset_sectors << SECTOR_SHIFT, sectors << SECTOR_SHIFT);
	bio->bi_iter.bi_sector = sector;
	bio_clone_blkg_association(bio, parent);
	return io;
}

void shim_io_set_nowait(struct shim_io *io)
{
	io->bio.bi_opf |= REQ_NOWAIT;
}

void shim_io_submit(struct shim_io *io, void *owner)
{
	io->owner = owner;
	submit_bio_noacct(&io->bio);
}
