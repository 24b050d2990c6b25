/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Port: bios. Those of others that pass the hook or come to an image, and our own.
 *
 * Terms: a bio is *foreign* if somebody else made it, *own* if it comes from our pool. A foreign
 * write is *admitted* once it carries a record (its completion is ours until it completes).
 */
#ifndef BLKSNAP_PORT_BIO_H
#define BLKSNAP_PORT_BIO_H

#include <blksnap/port/base.h>

struct bio;
struct page;
struct shim_bdev;

/* What a data-changing bio does to the origin. */
enum shim_write_kind {
	SHIM_WRITE_DATA,
	SHIM_WRITE_ZEROES,
	SHIM_WRITE_ERASE, /* secure erase */
	SHIM_WRITE_DISCARD,
};

struct shim_write {
	shim_u64 sector;     /* absolute on the whole disk */
	shim_u64 end_sector; /* first sector behind the partition or disk it is addressed to */
	shim_u32 sectors;    /* 0 for an empty flush */
	shim_u8 kind;
	shim_u8 supported; /* 0: the queue will refuse it, or a driver has begun it; only admission is filled in */
	shim_u8 own;			  /* from our own pool: the rest is not filled in */
	struct shim_bio_saved *admission; /* as shim_bio_admission() says */
};

/* Room in a record for what the bio had before it was admitted. */
struct shim_bio_saved {
	shim_u64 raw[2];
};

SHIM_BEGIN
/* --- foreign writes ---------------------------------------------------------------------- */

/* Context: any. */
void shim_bio_describe_write(struct bio *bio, struct shim_write *write) SHIM_NOEXCEPT;
/* The record with which the bio was admitted last, if that admission still stands (its
 * completion is ours), else NULL. Context: any. */
struct shim_bio_saved *shim_bio_admission(struct bio *bio) SHIM_NOEXCEPT;

/* Whether the bio is chained to one (bio_chain()), which completes only after it, and which is admitted, on
 * whatever disk. The caller holds the bio. Context: any. */
int shim_bio_parent_is_admitted(struct bio *bio) SHIM_NOEXCEPT;

/* Links for lists of bios that the core holds. Context: any. */
struct bio *shim_bio_next(struct bio *bio) SHIM_NOEXCEPT;
void shim_bio_set_next(struct bio *bio, struct bio *next) SHIM_NOEXCEPT;

/* Makes a bio ready to be held: a later answer to REQ_NOWAIT or REQ_POLLED would be ours, not
 * the device's, so both are cleared. Context: any. */
void shim_bio_prepare_park(struct bio *bio) SHIM_NOEXCEPT;
/* Admits: saves completion and private data into @saved, puts ours in their place; when the
 * bio completes, they are restored and blksnap_write_complete(@saved) is called before the
 * old completion runs. Context: any. */
void shim_bio_admit(struct bio *bio, struct shim_bio_saved *saved) SHIM_NOEXCEPT;
/* Hands a bio (admitted or not) to the block layer; it passes the hook again.
 * Context: process; may sleep. */
void shim_bio_submit(struct bio *bio) SHIM_NOEXCEPT;
/* Completes a bio without I/O. @error is 0 or a positive errno. Context: any. */
void shim_bio_end(struct bio *bio, int error) SHIM_NOEXCEPT;

/* --- requests to an image ---------------------------------------------------------------- */

enum shim_image_op { SHIM_IMAGE_READ, SHIM_IMAGE_WRITE, SHIM_IMAGE_FLUSH, SHIM_IMAGE_OTHER };

struct shim_image_request {
	shim_u64 sector;
	shim_u32 sectors;
	shim_u8 op;
};

struct shim_image_request shim_bio_describe_image(struct bio *bio) SHIM_NOEXCEPT;
/* Finds parts of an image bio in its memory. It remembers the last place: parts asked for in order
 * cost no walk from the beginning, which is where all zeroes stand. */
struct shim_bio_cursor {
	shim_u32 raw[8];
};
/* Copies between page bytes and the data of an image bio; @offset counts from its beginning.
 * The bio is not advanced. Context: any. */
void shim_bio_fill(struct bio *bio, struct shim_bio_cursor *cursor, shim_u32 offset,
		   struct page *page, shim_u32 page_offset, shim_u32 bytes) SHIM_NOEXCEPT;
/* Room for what an image bio had before it was redirected. */
struct shim_bio_redirected {
	shim_u64 raw[7];
};
/* Sends a read to @sector of @bdev instead, as it is, with its own memory, but not as one that may
 * fail easily. When it completes, its
 * completion, private data, flags and device are put back, and blksnap_image_read_complete() says whether
 * that was all. Context: process (current->bio_list is set); never waits. */
void shim_bio_redirect(struct bio *bio, struct shim_bio_redirected *saved, struct shim_bdev *bdev,
		       shim_u64 sector) SHIM_NOEXCEPT;
/* Makes a redirected bio that has completed what it was before. Context: any. */
void shim_bio_rewind(struct bio *bio, const struct shim_bio_redirected *saved) SHIM_NOEXCEPT;
/* The bio will complete with this error, positive. Context: any. */
void shim_bio_set_error(struct bio *bio, int error) SHIM_NOEXCEPT;
void shim_bio_fill_zero(struct bio *bio, struct shim_bio_cursor *cursor, shim_u32 offset,
			shim_u32 bytes) SHIM_NOEXCEPT;

/* --- own I/O ------------------------------------------------------------------------------ */

/* One own bio. Freed by the backend after its completion was reported, unless it is a clone. */
struct shim_io;

enum shim_io_op { SHIM_IO_READ, SHIM_IO_WRITE };

#define SHIM_IO_MAX_PAGES 256

/* A bio with room for @pages pages, at @sector relative to @bdev (a partition has its own
 * zero). With @may_wait the pool guarantees progress: never fails; else NULL if it would have to
 * wait. Context: process. */
struct shim_io *shim_io_alloc(struct shim_bdev *bdev, enum shim_io_op op, shim_u64 sector,
			      shim_u32 pages, int may_wait) SHIM_NOEXCEPT;
void shim_io_add_page(struct shim_io *io, struct page *page, shim_u32 bytes) SHIM_NOEXCEPT;
/* A bio that moves @sectors sectors, beginning @offset_sectors behind the start of the image
 * request @parent, between the memory of @parent and @sector of @bdev. Same direction as
 * @parent; its integrity, crypto context and polling are not taken over. @parent must not
 * complete before it. With @may_wait the pool guarantees progress: never fails; else NULL if it would
 * have to wait. Context: process. */
struct shim_io *shim_io_clone(struct bio *parent, struct shim_bio_cursor *cursor,
			      shim_u32 offset_sectors, shim_u32 sectors, struct shim_bdev *bdev,
			      shim_u64 sector, int may_wait) SHIM_NOEXCEPT;
/* A clone brings memory for who owns it, aligned to 8, and lives until shim_io_free(), which may
 * be called when its completion is reported or later. Context: any. */
#define SHIM_IO_ROOM_BYTES 96
void *shim_io_room(struct shim_io *io) SHIM_NOEXCEPT;
void shim_io_free(struct shim_io *io) SHIM_NOEXCEPT;
/* Before it is submitted: it ends with EAGAIN where its submission would have to wait. The device must
 * know REQ_NOWAIT. Context: process. */
void shim_io_set_nowait(struct shim_io *io) SHIM_NOEXCEPT;
/* Submits; blksnap_io_complete(@owner, error) is called once, in any context, also before
 * this returns. Context: process; may sleep. */
void shim_io_submit(struct shim_io *io, void *owner) SHIM_NOEXCEPT;

/* --- the core's side ---------------------------------------------------------------------- */

enum blksnap_verdict {
	BLKSNAP_PASS,	       /* let the bio go on */
	BLKSNAP_TAKEN,	       /* the core holds it, or has completed it */
	BLKSNAP_TAKEN_CROWDED, /* the same, and the submitter should wait if it may */
	BLKSNAP_READ_FIRST,    /* not taken: the submitter reads a copy, then asks again */
};

enum shim_may_read {
	SHIM_MAY_NOT_READ,
	SHIM_MAY_READ,	      /* its submission may sleep */
	SHIM_MAY_READ_NOWAIT, /* see shim_io_set_nowait() */
};

struct blksnap_decision {
	enum blksnap_verdict verdict;
	void *copy; /* with READ_FIRST: what is to be read */
};

/* A foreign data-changing bio came to a hooked disk. @disk is what shim_hook_add_disk() was
 * given. READ_FIRST is answered only if shim_submitter_may_read(@bio). Context: atomic, inside an
 * RCU read section. */
struct blksnap_decision blksnap_write_submit(void *disk, struct bio *bio) SHIM_NOEXCEPT;
/* Whether who submits @bio may submit a read of ours before it, now: that can sleep in the block
 * layer where the submission of @bio itself can. Context: any. */
enum shim_may_read shim_submitter_may_read(struct bio *bio) SHIM_NOEXCEPT;
/* After READ_FIRST, outside of the read section: begins a read of old content that the write
 * waits for. Must follow. Context: process; may sleep as submission does. */
void blksnap_write_read_first(void *copy) SHIM_NOEXCEPT;
/* After TAKEN_CROWDED, outside of the read section: waits until fewer bios are parked. @disk
 * is pinned by the verdict; this call releases the pin and must follow (@may_wait 0: only
 * releases). Context: process if @may_wait. */
void blksnap_write_backpressure(void *disk, int may_wait) SHIM_NOEXCEPT;
/* An admitted write has completed. Context: any. */
void blksnap_write_complete(struct shim_bio_saved *saved) SHIM_NOEXCEPT;
/* A redirected read has completed with @error, 0 or a positive errno. Return: 0 if the core keeps the
 * bio, else it completes now. Context: any. */
int blksnap_image_read_complete(struct shim_bio_redirected *saved, struct bio *bio,
				int error) SHIM_NOEXCEPT;
/* An own bio has completed. @error is 0 or a positive errno. Context: any. */
void blksnap_io_complete(void *owner, int error) SHIM_NOEXCEPT;
SHIM_END

#endif
