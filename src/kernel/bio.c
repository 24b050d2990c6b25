// SPDX-License-Identifier: GPL-2.0
/*
 * Bio port: bios of others that pass the hook or come to an image, and own bios.
 *
 * A bio is recognised by what it is, not by who submits it: the same object comes back to the
 * hook after a split, from dm's deferred list or from a multipath requeue. An own bio has one of
 * our pools as bi_pool; an admitted one has our completion as bi_end_io.
 *
 * The record of an admitted bio holds its old bi_end_io and bi_private, and nothing else of the
 * bio is used at completion: drivers remap the object in place. Both are restored before the
 * core hears of it and before the old completion runs.
 *
 * Completions of chained bios would nest: bio_endio() unwinds a chain in a loop only while the
 * completion is its own. So only the outermost completion on a CPU runs old completions; the
 * ones within are put on a list, linked by bi_next, which belongs to nobody at this time.
 *
 * Everything that runs in a completion does so in an RCU read section, be it by preemption off:
 * synchronize_rcu() after the last record and the last own bio are gone makes it safe to unload
 * this text. The one exception, a completion that asks for a task to run in, is in an SRCU section.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/highmem.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/srcu.h>
#include <blksnap/port/bio.h>
#include "blksnap-features.h"
#include "bdev.h"
#include "bio.h"

/* --- foreign writes ---------------------------------------------------------------------- */

struct saved_completion {
	bio_end_io_t *end_io;
	void *private;
};
static_assert(sizeof(struct saved_completion) <= sizeof(struct shim_bio_saved));
static_assert(__alignof__(struct saved_completion) <= __alignof__(struct shim_bio_saved));

/* Completed bios of this CPU whose old completion was not called yet. */
struct completion_list {
	struct bio_list waiting;
	bool running;
};
static DEFINE_PER_CPU(struct completion_list, completion_lists);

static enum shim_write_kind write_kind(struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_WRITE_ZEROES:
		return SHIM_WRITE_ZEROES;
	case REQ_OP_SECURE_ERASE:
		return SHIM_WRITE_ERASE;
	case REQ_OP_DISCARD:
		return SHIM_WRITE_DISCARD;
	default:
		return SHIM_WRITE_DATA;
	}
}

/* Device mapper, when it is polled, keeps a list of its own in bi_private until the bio completes, and comes back
 * to the hook with what it has not handed down yet. */
static bool driver_polls(struct bio *bio)
{
	return bio->bi_opf & REQ_POLLED && bio->bi_bdev->bd_disk->fops->poll_bio;
}

static void admitted_end_io(struct bio *bio);

/* Handed down in part before it was tracked: there is no room for a record. Or before we took its flag: it has one
 * already. Writes older than their tracker are waited for before a take. Clones that dm's targets make can have
 * the driver's flag of what they were made for; that alone means nothing. */
static __always_inline bool driver_has_private(struct bio *bio)
{
	return bio->bi_opf & REQ_DRV && bio->bi_private &&
	       (bio->bi_opf & REQ_POLLED || bio->bi_end_io == admitted_end_io) &&
	       bio->bi_bdev->bd_disk->fops->poll_bio;
}

static bool write_supported(struct bio *bio)
{
#ifdef BLK_FEAT_POLL
	/* Admitted it would lose the flag, likewise. */
	if (bio->bi_opf & REQ_POLLED &&
	    !(bdev_get_queue(bio->bi_bdev)->limits.features & BLK_FEAT_POLL))
		return false;
#endif
	/* Held back it would lose the flag, and be done where it is to be refused. */
	if (bio->bi_opf & REQ_NOWAIT && !bdev_nowait(bio->bi_bdev))
		return false;
	switch (bio_op(bio)) {
	case REQ_OP_WRITE_ZEROES:
		return bdev_write_zeroes_sectors(bio->bi_bdev);
	case REQ_OP_SECURE_ERASE:
		return bdev_max_secure_erase_sectors(bio->bi_bdev);
	case REQ_OP_DISCARD:
		return bdev_max_discard_sectors(bio->bi_bdev);
	default:
		return true;
	}
}

void shim_bio_describe_write(struct bio *bio, struct shim_write *write)
{
	struct block_device *bdev = bio->bi_bdev;
	sector_t start = bdev->bd_start_sect;

	write->own = bio_is_own(bio);
	if (write->own)
		return;
	if (unlikely(driver_has_private(bio))) {
		write->admission = NULL;
		write->supported = false;
		return;
	}
	write->admission = shim_bio_admission(bio);
	/* The sector of a remapped bio is absolute, although it still names the partition. */
	if (bio_flagged(bio, BIO_REMAPPED)) {
		bdev = bdev_whole(bdev);
		start = 0;
	}
	/* Not checked yet by the block layer: a sector far outside must not wrap into the device. */
	write->end_sector = start + bdev_nr_sectors(bdev);
	write->sector = bio->bi_iter.bi_sector < bdev_nr_sectors(bdev)
				? start + bio->bi_iter.bi_sector
				: write->end_sector;
	write->sectors = bio_sectors(bio);
	write->kind = SHIM_WRITE_DATA;
	write->supported = true;
	if (unlikely(bio_op(bio) != REQ_OP_WRITE || bio->bi_opf & (REQ_NOWAIT | REQ_POLLED))) {
		write->kind = write_kind(bio);
		write->supported = write_supported(bio);
	}
}

struct bio *shim_bio_next(struct bio *bio)
{
	return bio->bi_next;
}

void shim_bio_set_next(struct bio *bio, struct bio *next)
{
	bio->bi_next = next;
}

void shim_bio_prepare_park(struct bio *bio)
{
	/* A bio of a per-CPU cache must not be freed in interrupt context, which only a polled
	 * one could avoid; without the flag it goes back to the pool of its bio_set. */
	bio->bi_opf &= ~(REQ_NOWAIT | REQ_POLLED | REQ_ALLOC_CACHE);
}

/* What bio_chain() makes a bio's completion. Newer kernels know it by its address and never call it. */
static bio_end_io_t *chained_end_io;

void bio_learn_chains(void)
{
	struct bio child, parent;

	bio_init(&child, NULL, NULL, 0, REQ_OP_READ);
	bio_init(&parent, NULL, NULL, 0, REQ_OP_READ);
	bio_chain(&child, &parent);
	chained_end_io = child.bi_end_io;
}

/* Calls the completion that was there before ours. The bio has been through bio_endio() already; a chained
 * one goes there once more, which unwinds the chain, but must not be accounted as done twice. */
static void call_completion(struct bio *bio)
{
	if (unlikely(bio->bi_end_io == chained_end_io)) {
		bio_clear_flag(bio, BIO_QOS_THROTTLED);
		bio_clear_flag(bio, BIO_QOS_MERGED);
		bio_endio(bio);
	} else if (bio->bi_end_io) {
		bio->bi_end_io(bio);
	}
}

static void drain_completions(struct completion_list *list)
{
	struct bio *bio;
	unsigned long flags;

	for (;;) {
		local_irq_save(flags);
		bio = bio_list_pop(&list->waiting);
		local_irq_restore(flags);
		if (!bio)
			return;
		call_completion(bio);
	}
}

static void complete_later(struct completion_list *list, struct bio *bio)
{
	unsigned long flags;

	local_irq_save(flags);
	bio_list_add(&list->waiting, bio);
	local_irq_restore(flags);
}

/* Calls the bio's completion, here or from the outermost call on this CPU. With preemption off: old
 * completions see an atomic context, which each of them must stand, and the list cannot be left
 * waiting for a preempted task. */
static __always_inline void complete_outermost(struct bio *bio)
{
	struct completion_list *list = this_cpu_ptr(&completion_lists);

	if (READ_ONCE(list->running)) {
		complete_later(list, bio);
		return;
	}
	/* An interrupt from here to the end of `running` adds to the list; one that comes after
	 * finds nobody running and empties the list itself: hence the second look. */
	WRITE_ONCE(list->running, true);
	barrier();
	call_completion(bio);
	for (;;) {
		if (unlikely(READ_ONCE(list->waiting.head)))
			drain_completions(list);
		barrier();
		WRITE_ONCE(list->running, false);
		barrier();
		if (likely(!READ_ONCE(list->waiting.head)))
			break;
		WRITE_ONCE(list->running, true);
		barrier();
	}
}

/* Old completions of a real-time kernel take locks that sleep: it is enough that they stay on this
 * CPU. One that is preempted in the middle leaves `running` set; whoever completes on the CPU then
 * adds to its list, and it empties that before it ends. */
static void completion_begin(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		migrate_disable();
		rcu_read_lock();
	} else {
		preempt_disable();
	}
}

static void completion_end(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		rcu_read_unlock();
		migrate_enable();
	} else {
		preempt_enable();
	}
}

/* The block layer called us in a task because the old completion may sleep. */
static bool wants_task(struct bio *bio)
{
#ifdef HAVE_BIO_COMPLETE_IN_TASK
	return bio_flagged(bio, BIO_COMPLETE_IN_TASK);
#else
	return false;
#endif
}

DEFINE_STATIC_SRCU(completing_in_task);

static void admitted_end_io(struct bio *bio)
{
	struct shim_bio_saved *saved = bio->bi_private;
	struct saved_completion *old = (struct saved_completion *)saved->raw;
	bool in_task = wants_task(bio);
	int section = 0;

	bio->bi_end_io = old->end_io;
	bio->bi_private = old->private;
	if (unlikely(in_task))
		section = srcu_read_lock(&completing_in_task);
	completion_begin();
	blksnap_write_complete(saved);
	if (likely(!in_task))
		complete_outermost(bio);
	completion_end();
	if (unlikely(in_task)) {
		call_completion(bio);
		srcu_read_unlock(&completing_in_task, section);
	}
}

struct shim_bio_saved *shim_bio_admission(struct bio *bio)
{
	return bio->bi_end_io == admitted_end_io ? bio->bi_private : NULL;
}

void shim_bio_admit(struct bio *bio, struct shim_bio_saved *saved)
{
	struct saved_completion *old = (struct saved_completion *)saved->raw;

	/* The record has to stay where it is. Who polls finds the bio completed, as after parking. */
	if (unlikely(driver_polls(bio)))
		bio->bi_opf &= ~(REQ_POLLED | REQ_ALLOC_CACHE);
	old->end_io = bio->bi_end_io;
	old->private = bio->bi_private;
	WRITE_ONCE(bio->bi_end_io, admitted_end_io);
	bio->bi_private = saved;
}

/* Of the parent, which others may be working on, only one word is looked at. It stays as long as @bio does. */
int shim_bio_parent_is_admitted(struct bio *bio)
{
	struct saved_completion last = {bio->bi_end_io, bio->bi_private};

	/* Admitted on a disk above, which remapped it in place. */
	while (last.end_io == admitted_end_io)
		last = *(struct saved_completion *)((struct shim_bio_saved *)last.private)->raw;
	return last.end_io == chained_end_io &&
	       READ_ONCE(((struct bio *)last.private)->bi_end_io) == admitted_end_io;
}

void shim_bio_submit(struct bio *bio)
{
	bio->bi_next = NULL;
	submit_bio_noacct(bio);
}

void shim_bio_end(struct bio *bio, int error)
{
	if (error)
		bio->bi_status = errno_to_blk_status(-error);
	bio_endio(bio);
}

void bio_wait_for_completions(void)
{
	synchronize_srcu(&completing_in_task);
	synchronize_rcu();
	/* Past the end of its section, but not out of our text. */
#ifdef CONFIG_TASKS_RCU
	synchronize_rcu_tasks();
#endif
}

/* --- requests to an image ---------------------------------------------------------------- */

struct shim_image_request shim_bio_describe_image(struct bio *bio)
{
	return image_request(bio);
}

/* What a redirected read had before. */
struct redirected_bio {
	bio_end_io_t *end_io;
	void *private;
	struct block_device *bdev;
	blk_opf_t opf;
	struct bvec_iter iter;
};
static_assert(sizeof(struct redirected_bio) <= sizeof(struct shim_bio_redirected));
static_assert(__alignof__(struct redirected_bio) <= __alignof__(struct shim_bio_redirected));

static void redirected_end_io(struct bio *bio)
{
	struct shim_bio_redirected *saved = bio->bi_private;
	struct redirected_bio *old = (struct redirected_bio *)saved->raw;
	bool in_task = wants_task(bio);
	int section = 0;
	int error = 0;
	bool ready;

	bio->bi_end_io = old->end_io;
	bio->bi_private = old->private;
	/* Its control group was let go already, so the pointer is all there is to put back; a worker
	 * that reads it again does so on behalf of no group. */
	bio->bi_bdev = old->bdev;
	bio->bi_opf = old->opf;
	bio_clear_flag(bio, BIO_REMAPPED);
	if (unlikely(in_task))
		section = srcu_read_lock(&completing_in_task);
	completion_begin();
	if (unlikely(bio->bi_status))
		error = -blk_status_to_errno(bio->bi_status);
	ready = blksnap_image_read_complete(saved, bio, error);
	if (ready && likely(!in_task))
		complete_outermost(bio);
	completion_end();
	if (unlikely(in_task)) {
		if (ready)
			call_completion(bio);
		srcu_read_unlock(&completing_in_task, section);
	}
}

void shim_bio_redirect(struct bio *bio, struct shim_bio_redirected *saved, struct shim_bdev *bdev,
		       shim_u64 sector)
{
	struct redirected_bio *old = (struct redirected_bio *)saved->raw;

	old->end_io = bio->bi_end_io;
	old->private = bio->bi_private;
	old->bdev = bio->bi_bdev;
	old->opf = bio->bi_opf;
	old->iter = bio->bi_iter;
	bio->bi_end_io = redirected_end_io;
	bio->bi_private = saved;
	bio->bi_opf &= ~(REQ_RAHEAD | REQ_FAILFAST_MASK);
	bio->bi_iter.bi_sector = sector;
	bio_set_dev(bio, bdev->bdev);
	/* The lower device counts and traces it for itself. */
	bio_clear_flag(bio, BIO_CGROUP_ACCT);
	bio_clear_flag(bio, BIO_TRACE_COMPLETION);
	submit_bio_noacct(bio);
}

void shim_bio_rewind(struct bio *bio, const struct shim_bio_redirected *saved)
{
	const struct redirected_bio *old = (const struct redirected_bio *)saved->raw;

	bio->bi_iter = old->iter;
	bio->bi_status = BLK_STS_OK;
	/* What the lower queue left: its accounting, and the count of the parts it was split into. */
	bio_clear_flag(bio, BIO_QOS_THROTTLED);
	bio_clear_flag(bio, BIO_QOS_MERGED);
	atomic_set(&bio->__bi_remaining, 1);
}

void shim_bio_set_error(struct bio *bio, int error)
{
	bio->bi_status = errno_to_blk_status(-error);
}

struct cursor {
	shim_u32 is_set;
	struct bvec_iter iter;
};
static_assert(sizeof(struct cursor) <= sizeof(struct shim_bio_cursor));
static_assert(__alignof__(struct cursor) <= __alignof__(struct shim_bio_cursor));

struct bvec_iter bio_part(struct bio *bio, struct shim_bio_cursor *shim, shim_u32 offset,
			  shim_u32 bytes)
{
	struct cursor *cursor = (struct cursor *)shim->raw;
	struct bvec_iter iter;
	shim_u32 here;

	if (!cursor->is_set)
		cursor->iter = bio->bi_iter;
	here = bio->bi_iter.bi_size - cursor->iter.bi_size;
	if (offset < here) {
		cursor->iter = bio->bi_iter;
		here = 0;
	}
	cursor->is_set = true;
	bio_advance_iter(bio, &cursor->iter, offset - here);
	iter = cursor->iter;
	iter.bi_size = bytes;
	return iter;
}

void shim_bio_fill(struct bio *bio, struct shim_bio_cursor *cursor, shim_u32 offset,
		   struct page *page, shim_u32 page_offset, shim_u32 bytes)
{
	bool to_page = op_is_write(bio_op(bio));
	char *mapped = kmap_local_page(page);
	char *data = mapped + page_offset;
	struct bvec_iter iter;
	struct bio_vec part;

	__bio_for_each_segment(part, bio, iter, bio_part(bio, cursor, offset, bytes)) {
		if (to_page)
			memcpy_from_bvec(data, &part);
		else
			memcpy_to_bvec(&part, data);
		data += part.bv_len;
	}
	kunmap_local(mapped);
}

void shim_bio_fill_zero(struct bio *bio, struct shim_bio_cursor *cursor, shim_u32 offset,
			shim_u32 bytes)
{
	struct bvec_iter iter;
	struct bio_vec part;

	__bio_for_each_segment(part, bio, iter, bio_part(bio, cursor, offset, bytes))
		memzero_bvec(&part);
}
