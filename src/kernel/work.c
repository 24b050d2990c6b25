// SPDX-License-Identifier: GPL-2.0
/*
 * Work port: one workqueue with a rescuer per work.
 *
 * A work may sleep in the block layer for as long as a device does not answer. With a queue of
 * its own it holds up nobody else, and with a rescuer memory pressure does not hold it up. The
 * queues are not freezable: parked bios must leave while the machine goes to sleep, too.
 */
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <blksnap/port/work.h>
#include "blksnap-features.h"
#include "work.h"

#ifndef HAVE_WQ_PERCPU
#define WQ_PERCPU 0 /* what older kernels do unless told otherwise */
#endif

struct shim_work {
	struct work_struct now;
	struct delayed_work later; /* only queues @now */
	struct workqueue_struct *queue;
	bool closing; /* delays count no more */
	enum shim_work_kind kind;
	void *owner;
};

static void run_now(struct work_struct *now)
{
	struct shim_work *work = container_of(now, struct shim_work, now);
	unsigned int noio = memalloc_noio_save();
	struct blk_plug plug;

	/* A plug of blk_start_plug() has no nowait: bios of others must not turn REQ_NOWAIT. */
	blk_start_plug(&plug);
	blksnap_work_run(work->kind, work->owner);
	blk_finish_plug(&plug);
	memalloc_noio_restore(noio);
}

static void run_later(struct work_struct *later)
{
	struct shim_work *work = container_of(to_delayed_work(later), struct shim_work, later);

	if (!READ_ONCE(work->closing))
		shim_work_queue(work);
}

bool work_runs_here(void)
{
	struct work_struct *work = current_work();

	return work && work->func == run_now;
}

/* One lock class for each kind: control paths wait, under a mutex, for works of a disk or an area, which
 * do not take it, unlike the sweep. */
static struct lock_class_key work_classes[SHIM_WORK_KINDS];

struct shim_work *shim_work_create(enum shim_work_kind kind, void *owner, const char *name)
{
	struct shim_work *work = kzalloc(sizeof(*work), GFP_KERNEL);

	if (!work)
		return NULL;
	work->queue = alloc_workqueue(KBUILD_MODNAME "-%s", WQ_MEM_RECLAIM | WQ_PERCPU, 1, name);
	if (!work->queue) {
		kfree(work);
		return NULL;
	}
	INIT_WORK(&work->now, run_now);
	lockdep_init_map(&work->now.lockdep_map, "blksnap work", &work_classes[kind], 0);
	INIT_DELAYED_WORK(&work->later, run_later);
	work->kind = kind;
	work->owner = owner;
	return work;
}

void shim_work_queue(struct shim_work *work)
{
	queue_work(work->queue, &work->now);
}

void shim_work_queue_delayed(struct shim_work *work, shim_u32 delay_ms)
{
	if (!READ_ONCE(work->closing))
		queue_delayed_work(work->queue, &work->later, msecs_to_jiffies(delay_ms));
}

void shim_work_destroy(struct shim_work *work)
{
	WRITE_ONCE(work->closing, true);
	cancel_delayed_work_sync(&work->later);
	/* A run that was in the middle may still have started a delay. */
	flush_work(&work->now);
	cancel_delayed_work_sync(&work->later);
	destroy_workqueue(work->queue);
	kfree(work);
}
