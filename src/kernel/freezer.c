// SPDX-License-Identifier: GPL-2.0
/*
 * Freezer: freezes the file systems of a set of devices, thaws exactly what it froze.
 *
 * Opening a device, freezing and thawing its file system cannot be interrupted and may hang on a device
 * that does not answer, so each device has helpers of its own. The taker waits for all that freeze, but
 * not for ever. One that comes too late finds the freezer thawing and thaws what it just froze; so each
 * of them holds the freezer, and the freezer holds the devices open until its last user is gone. Thaws are
 * waited for; but none waits for another one, whose device may be the reason for giving up.
 *
 * Only our own freeze is ever undone: the kernel counts freezes of a device (an outer one stays
 * when ours is thawed). A file system frozen by FIFREEZE answers -EBUSY on older kernels, and is left
 * alone; newer ones count that freeze and ours.
 */
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <blksnap/port/bdev.h>
#include "blksnap-features.h"
#include "bdev.h"
#include "freezer.h"

struct shim_freezer {
	struct kref users;
	spinlock_t lock;
	wait_queue_head_t helper_done;
	struct list_head members; /* changed by the taker only */
	unsigned int pending;
	bool thawing;
};

enum member_state { MEMBER_PENDING, MEMBER_FROZEN, MEMBER_THAWED };

struct member {
	struct list_head link;
	struct work_struct freeze, thaw;
	struct shim_freezer *freezer;
	dev_t number;
	struct shim_bdev opened; /* by the helper that freezes */
	enum member_state state;
};

static struct workqueue_struct *freezes, *thaws;

/* Only thaws have a rescuer, who needs no memory: what is frozen may be what reclaim waits for. It is a
 * single thread, which the first freeze that hangs would keep; without workers the freezes are late, and
 * the take ends at its limit of time. And a file system may flush whatever queue it has when it is
 * frozen, which a queue with a rescuer must not wait for. */
int freezer_create_queues(void)
{
	freezes = alloc_workqueue("blksnap-freeze", WQ_UNBOUND, 0);
	if (!freezes)
		return -ENOMEM;
	thaws = alloc_workqueue("blksnap-thaw", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (thaws)
		return 0;
	destroy_workqueue(freezes);
	return -ENOMEM;
}

void freezer_destroy_queues(void)
{
	destroy_workqueue(freezes);
	destroy_workqueue(thaws);
}

static void freezer_release(struct kref *users)
{
	struct shim_freezer *freezer = container_of(users, struct shim_freezer, users);
	struct member *member, *next;

	list_for_each_entry_safe(member, next, &freezer->members, link) {
		if (member->opened.bdev)
			bdev_close(&member->opened);
		kfree(member);
	}
	kfree(freezer);
}

/* --- one device ---------------------------------------------------------------------------- */

#ifdef HAVE_BDEV_FREEZE

static int freeze_count(struct block_device *bdev)
{
	return atomic_read(&bdev->bd_fsfreeze_count);
}

/* A file system claims its device with operations that freeze it. */
static bool has_frozen_filesystem(struct block_device *bdev)
{
	bool has;

	mutex_lock(&bdev->bd_holder_lock);
	has = bdev->bd_holder_ops && bdev->bd_holder_ops->freeze;
	mutex_unlock(&bdev->bd_holder_lock);
	return has;
}

#else

#define bdev_freeze freeze_bdev
#define bdev_thaw thaw_bdev

static int freeze_count(struct block_device *bdev)
{
	return bdev->bd_fsfreeze_count;
}

static bool has_frozen_filesystem(struct block_device *bdev)
{
	return bdev->bd_fsfreeze_sb;
}

#endif

static const char *frozen_how(struct block_device *bdev)
{
	const char *how;

	mutex_lock(&bdev->bd_fsfreeze_mutex);
	if (freeze_count(bdev) > 1)
		how = "frozen already by somebody else";
	else if (has_frozen_filesystem(bdev))
		how = "file system frozen";
	else
		how = "no file system that can be frozen through it";
	mutex_unlock(&bdev->bd_fsfreeze_mutex);
	return how;
}

static void log_freeze(struct block_device *bdev, int error)
{
	if (!error)
		pr_info(KBUILD_MODNAME ": %pg: %s\n", bdev, frozen_how(bdev));
	else if (error == -EBUSY)
		pr_info(KBUILD_MODNAME ": %pg: file system frozen by somebody else, left alone\n",
			bdev);
	else
		pr_warn(KBUILD_MODNAME
			": %pg: freezing the file system failed (%d), its image is crash-consistent\n",
			bdev, error);
}

static void thaw(struct block_device *bdev)
{
	int error = bdev_thaw(bdev);

	if (error)
		pr_warn(KBUILD_MODNAME ": %pg: thawing failed (%d)\n", bdev, error);
}

static bool is_late(struct shim_freezer *freezer)
{
	bool late;

	spin_lock(&freezer->lock);
	late = freezer->thawing;
	spin_unlock(&freezer->lock);
	return late;
}

/* Return: true if the freeze came too late and has to be undone. */
static bool settle_member(struct member *member, bool frozen)
{
	struct shim_freezer *freezer = member->freezer;
	bool late;

	spin_lock(&freezer->lock);
	late = frozen && freezer->thawing;
	member->state = frozen && !late ? MEMBER_FROZEN : MEMBER_THAWED;
	freezer->pending--;
	spin_unlock(&freezer->lock);
	wake_up(&freezer->helper_done);
	return late;
}

/* Return: whether its file system is frozen by us. */
static bool open_and_freeze(struct member *member)
{
	int error = bdev_open_by_number(member->number, &member->opened);

	if (error) {
		pr_warn(KBUILD_MODNAME ": %u:%u cannot be frozen (%d)\n", MAJOR(member->number),
			MINOR(member->number), error);
		return false;
	}
	if (is_late(member->freezer))
		return false;
	error = bdev_freeze(member->opened.bdev);
	log_freeze(member->opened.bdev, error);
	return !error;
}

static void freeze_member(struct work_struct *work)
{
	struct member *member = container_of(work, struct member, freeze);
	struct shim_freezer *freezer = member->freezer;
	unsigned int noio = memalloc_noio_save();

	if (settle_member(member, open_and_freeze(member))) {
		pr_info(KBUILD_MODNAME ": %pg: frozen too late, thawed\n", member->opened.bdev);
		thaw(member->opened.bdev);
	}
	memalloc_noio_restore(noio);
	kref_put(&freezer->users, freezer_release);
}

static void thaw_member(struct work_struct *work)
{
	struct member *member = container_of(work, struct member, thaw);
	unsigned int noio = memalloc_noio_save();

	thaw(member->opened.bdev);
	memalloc_noio_restore(noio);
}

/* --- the set ------------------------------------------------------------------------------- */

static bool has_member(struct shim_freezer *freezer, dev_t number)
{
	struct member *member;

	list_for_each_entry(member, &freezer->members, link)
		if (member->number == number)
			return true;
	return false;
}

static void start_member(struct shim_freezer *freezer, dev_t number)
{
	struct member *member;

	if (has_member(freezer, number))
		return;
	member = kzalloc(sizeof(*member), GFP_KERNEL);
	if (!member) {
		pr_warn(KBUILD_MODNAME ": %u:%u cannot be frozen (%d)\n", MAJOR(number),
			MINOR(number), -ENOMEM);
		return;
	}
	INIT_WORK(&member->freeze, freeze_member);
	INIT_WORK(&member->thaw, thaw_member);
	member->freezer = freezer;
	member->number = number;
	list_add(&member->link, &freezer->members);
	spin_lock(&freezer->lock);
	freezer->pending++;
	spin_unlock(&freezer->lock);
	kref_get(&freezer->users);
	queue_work(freezes, &member->freeze);
}

/* Return: the number of the partition after @index, or 0. */
static dev_t next_partition(struct gendisk *disk, unsigned long *index)
{
	struct block_device *part;
	dev_t number = 0;

	rcu_read_lock();
	part = xa_find_after(&disk->part_tbl, index, ULONG_MAX, XA_PRESENT);
	if (part)
		number = part->bd_dev;
	rcu_read_unlock();
	return number;
}

static void start_device(struct shim_freezer *freezer, struct block_device *bdev)
{
	unsigned long index = 0;
	dev_t number;

	start_member(freezer, bdev->bd_dev);
	if (bdev_is_partition(bdev))
		return;
	while ((number = next_partition(bdev->bd_disk, &index)))
		start_member(freezer, number);
}

static bool all_done(struct shim_freezer *freezer)
{
	bool done;

	spin_lock(&freezer->lock);
	done = !freezer->pending;
	spin_unlock(&freezer->lock);
	return done;
}

struct shim_freezer *shim_freezer_create(void)
{
	struct shim_freezer *freezer = kzalloc(sizeof(*freezer), GFP_KERNEL);

	if (!freezer)
		return NULL;
	kref_init(&freezer->users);
	spin_lock_init(&freezer->lock);
	init_waitqueue_head(&freezer->helper_done);
	INIT_LIST_HEAD(&freezer->members);
	return freezer;
}

int shim_freezer_freeze(struct shim_freezer *freezer, struct shim_bdev *const *bdevs,
			shim_u32 count, shim_u32 timeout_ms)
{
	shim_u32 i;

	for (i = 0; i < count; i++)
		start_device(freezer, bdevs[i]->bdev);
	return wait_event_timeout(freezer->helper_done, all_done(freezer),
				  msecs_to_jiffies(timeout_ms))
		       ? 0
		       : -ETIMEDOUT;
}

void shim_freezer_thaw(struct shim_freezer *freezer)
{
	struct member *member;

	spin_lock(&freezer->lock);
	freezer->thawing = true;
	spin_unlock(&freezer->lock);
	/* The state of a member is final now, except that a pending one becomes thawed. */
	list_for_each_entry(member, &freezer->members, link) {
		if (READ_ONCE(member->state) != MEMBER_FROZEN)
			continue;
		WRITE_ONCE(member->state, MEMBER_THAWED);
		queue_work(thaws, &member->thaw);
	}
	list_for_each_entry(member, &freezer->members, link)
		flush_work(&member->thaw);
}

void shim_freezer_destroy(struct shim_freezer *freezer)
{
	shim_freezer_thaw(freezer);
	kref_put(&freezer->users, freezer_release);
}
