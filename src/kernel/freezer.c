// SPDX-License-Identifier: GPL-2.0
/*
 * Freezer: freezes the file systems of a set of devices, thaws exactly what it froze.
 *
 * Opening a device, freezing and thawing its file system cannot be interrupted and may hang on a device
 * that does not answer, so each device has a helper of its own: a thread, made before anything is frozen
 * on its device, so that a thaw needs no memory that only the thaw sets free. No workqueue: one with a
 * rescuer must not wait for one without, and a file system that was unmounted meanwhile ends in its thaw.
 * The taker waits for all that freeze, but not for ever. One that comes too late finds the freezer thawing
 * and thaws what it just froze; so each of them holds the freezer, and the freezer holds the devices open
 * until its last user is gone.
 *
 * What was frozen last is thawed first: a file system that stands on another one, by a loop device, would
 * write to that one while it is frozen still, which Linux 6.1 complains of. But it waits a limited time
 * only, since the device of that one may be the reason for giving up. All thaws are waited for at the end.
 *
 * Only our own freeze is ever undone: the kernel counts freezes of a device (an outer one stays
 * when ours is thawed). A file system frozen by FIFREEZE answers -EBUSY on older kernels, and is left
 * alone; newer ones count that freeze and ours.
 */
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <blksnap/port/bdev.h>
#include "blksnap-features.h"
#include "bdev.h"

/* How long an upper file system stays frozen for a lower one that is being thawed. */
#define THAW_PATIENCE (3 * HZ)

struct shim_freezer {
	struct kref users; /* the taker and the helpers */
	spinlock_t lock;
	wait_queue_head_t changed;
	struct list_head members; /* changed by the taker only */
	unsigned int levels, pending;
	unsigned int thaw_from; /* the first level that is to be thawed, or UINT_MAX: none yet */
};

enum member_state { MEMBER_PENDING, MEMBER_FROZEN, MEMBER_THAWED, MEMBER_LATE };

struct member {
	struct list_head link;
	struct shim_freezer *freezer;
	struct task_struct *helper; /* until it is joined */
	dev_t number;
	unsigned int level;
	struct shim_bdev opened; /* by the helper */
	enum member_state state;
};

static void freezer_release(struct kref *users)
{
	struct shim_freezer *freezer = container_of(users, struct shim_freezer, users);
	struct member *member, *next;

	list_for_each_entry_safe(member, next, &freezer->members, link) {
		if (member->opened.bdev)
			bdev_close(&member->opened);
		if (member->helper)
			put_task_struct(member->helper);
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

static bool is_thawing(struct shim_freezer *freezer, unsigned int level)
{
	bool thawing;

	spin_lock(&freezer->lock);
	thawing = level >= freezer->thaw_from;
	spin_unlock(&freezer->lock);
	return thawing;
}

static bool is_late(struct shim_freezer *freezer)
{
	bool late;

	spin_lock(&freezer->lock);
	late = freezer->thaw_from != UINT_MAX;
	spin_unlock(&freezer->lock);
	return late;
}

/* Return: true if the freeze came too late and has to be undone. */
static bool settle_member(struct member *member, bool frozen)
{
	struct shim_freezer *freezer = member->freezer;

	spin_lock(&freezer->lock);
	if (!frozen)
		member->state = MEMBER_THAWED;
	else
		member->state = freezer->thaw_from == UINT_MAX ? MEMBER_FROZEN : MEMBER_LATE;
	freezer->pending--;
	spin_unlock(&freezer->lock);
	wake_up(&freezer->changed);
	return member->state == MEMBER_LATE;
}

static void thaw_when_asked(struct member *member)
{
	struct shim_freezer *freezer = member->freezer;

	wait_event_idle(freezer->changed, is_thawing(freezer, member->level));
	thaw(member->opened.bdev);
	spin_lock(&freezer->lock);
	member->state = MEMBER_THAWED;
	spin_unlock(&freezer->lock);
	wake_up(&freezer->changed);
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

static int help_member(void *context)
{
	struct member *member = context;
	unsigned int noio = memalloc_noio_save();
	bool frozen = open_and_freeze(member);

	if (settle_member(member, frozen)) {
		pr_info(KBUILD_MODNAME ": %pg: frozen too late, thawed\n", member->opened.bdev);
		thaw(member->opened.bdev);
	} else if (frozen) {
		thaw_when_asked(member);
	}
	memalloc_noio_restore(noio);
	kref_put(&member->freezer->users, freezer_release);
	module_put_and_kthread_exit(0);
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

/* Return: 0, or -errno: then nothing was started. */
static int start_helper(struct member *member)
{
	struct shim_freezer *freezer = member->freezer;
	struct task_struct *helper = kthread_create(help_member, member, "blksnap-freeze");

	if (IS_ERR(helper))
		return PTR_ERR(helper);
	__module_get(THIS_MODULE); /* which the caller holds, too */
	kref_get(&freezer->users);
	member->helper = get_task_struct(helper);
	list_add(&member->link, &freezer->members);
	spin_lock(&freezer->lock);
	freezer->pending++;
	spin_unlock(&freezer->lock);
	wake_up_process(helper);
	return 0;
}

static void start_member(struct shim_freezer *freezer, dev_t number)
{
	struct member *member;
	int error = -ENOMEM;

	if (has_member(freezer, number))
		return;
	member = kzalloc(sizeof(*member), GFP_KERNEL);
	if (member) {
		member->freezer = freezer;
		member->number = number;
		member->level = freezer->levels;
		error = start_helper(member);
	}
	if (error) {
		kfree(member);
		pr_warn(KBUILD_MODNAME ": %u:%u cannot be frozen (%d)\n", MAJOR(number),
			MINOR(number), error);
	}
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

static bool all_settled(struct shim_freezer *freezer)
{
	bool settled;

	spin_lock(&freezer->lock);
	settled = !freezer->pending;
	spin_unlock(&freezer->lock);
	return settled;
}

/* Whether nothing is frozen any more from this level on. */
static bool all_thawed(struct shim_freezer *freezer, unsigned int level)
{
	struct member *member;
	bool thawed = true;

	spin_lock(&freezer->lock);
	list_for_each_entry(member, &freezer->members, link)
		thawed &= member->level < level || member->state != MEMBER_FROZEN;
	spin_unlock(&freezer->lock);
	return thawed;
}

/* Return: whether it was thawed in time. */
static bool thaw_level(struct shim_freezer *freezer, unsigned int level, bool patient)
{
	spin_lock(&freezer->lock);
	freezer->thaw_from = level;
	spin_unlock(&freezer->lock);
	wake_up(&freezer->changed);
	return patient &&
	       wait_event_timeout(freezer->changed, all_thawed(freezer, level), THAW_PATIENCE);
}

/* Waits for the end of a helper, unless it is late: nobody knows when that one ends. */
static void join_helper(struct member *member)
{
	enum member_state state = READ_ONCE(member->state);

	if (!member->helper || state == MEMBER_PENDING || state == MEMBER_LATE)
		return;
	kthread_stop(member->helper);
	put_task_struct(member->helper);
	member->helper = NULL;
}

struct shim_freezer *shim_freezer_create(void)
{
	struct shim_freezer *freezer = kzalloc(sizeof(*freezer), GFP_KERNEL);

	if (!freezer)
		return NULL;
	kref_init(&freezer->users);
	spin_lock_init(&freezer->lock);
	init_waitqueue_head(&freezer->changed);
	INIT_LIST_HEAD(&freezer->members);
	freezer->thaw_from = UINT_MAX;
	return freezer;
}

int shim_freezer_freeze(struct shim_freezer *freezer, struct shim_bdev *const *bdevs,
			shim_u32 count, shim_u32 timeout_ms)
{
	shim_u32 i;

	for (i = 0; i < count; i++)
		start_device(freezer, bdevs[i]->bdev);
	freezer->levels++;
	return wait_event_timeout(freezer->changed, all_settled(freezer),
				  msecs_to_jiffies(timeout_ms))
		       ? 0
		       : -ETIMEDOUT;
}

void shim_freezer_thaw(struct shim_freezer *freezer)
{
	unsigned int level = min(freezer->levels, freezer->thaw_from);
	struct member *member;
	bool patient = true;

	while (level--)
		patient = thaw_level(freezer, level, patient);
	wait_event(freezer->changed, all_thawed(freezer, 0));
	list_for_each_entry(member, &freezer->members, link)
		join_helper(member);
}

void shim_freezer_destroy(struct shim_freezer *freezer)
{
	shim_freezer_thaw(freezer);
	kref_put(&freezer->users, freezer_release);
}
