// SPDX-License-Identifier: GPL-2.0
/*
 * Freezer: freezes the file systems of a set of devices, thaws exactly what it froze.
 *
 * Opening a device, freezing and thawing its file system cannot be interrupted and may hang on a device
 * that does not answer, so each device has a helper of its own: a thread. All are made before the first
 * freeze, for whatever a new thread needs (memory, a lock of all forks) may wait for what is frozen. No
 * workqueue: one with a rescuer must not wait for one without, and a file system that was unmounted
 * meanwhile ends in its thaw. The taker waits for all that freeze, but not for ever. One that comes too
 * late finds the freezer thawing and thaws what it just froze; so each of them holds the freezer.
 *
 * What was frozen last is thawed first: a file system that stands on another one, by a loop device, would
 * write to that one while it is frozen still, which Linux 6.1 complains of. But this waits a limited time
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

/* How long file systems stay frozen for others, on disks that are older, that are being thawed. */
#define THAW_PATIENCE (3 * HZ)

struct shim_freezer {
	struct kref users; /* the taker and the helpers */
	spinlock_t lock;   /* of what follows, and of the states of the members */
	bool thawing;
	wait_queue_head_t answered; /* of the taker; what follows is changed by it only */
	struct list_head members;
	unsigned int levels, frozen_levels;
};

/* Bits, so that several can be looked for. */
enum member_state {
	MEMBER_ADDED = 1 << 0,
	MEMBER_FREEZES = 1 << 1, /* asked for by the taker */
	MEMBER_FROZEN = 1 << 2,
	MEMBER_ENDS = 1 << 3, /* asked for by the taker: it thaws what it froze */
	MEMBER_LATE = 1 << 4, /* frozen when the taker thaws already: it thaws unasked */
	MEMBER_DONE = 1 << 5,
};
#define MEMBER_NOT_DONE (MEMBER_DONE - 1)

struct member {
	struct list_head link, among_helpers;
	struct shim_freezer *freezer;
	struct task_struct *helper; /* until it is joined */
	wait_queue_head_t asked;
	dev_t number;
	unsigned int level;
	struct shim_bdev opened; /* by the helper */
	enum member_state state;
};

/* Those that run, of all freezers. */
static LIST_HEAD(helpers);
static DEFINE_SPINLOCK(helpers_lock);

static void freezer_release(struct kref *users)
{
	struct shim_freezer *freezer = container_of(users, struct shim_freezer, users);
	struct member *member, *next;

	list_for_each_entry_safe(member, next, &freezer->members, link) {
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

static enum member_state state_of(struct member *member)
{
	enum member_state state;

	spin_lock(&member->freezer->lock);
	state = member->state;
	spin_unlock(&member->freezer->lock);
	return state;
}

/* By the taker. */
static void ask(struct member *member, enum member_state state)
{
	spin_lock(&member->freezer->lock);
	member->state = state;
	spin_unlock(&member->freezer->lock);
	wake_up(&member->asked);
}

/* By the helper. Return: the state that it comes to. */
static enum member_state answer(struct member *member, enum member_state state)
{
	struct shim_freezer *freezer = member->freezer;

	spin_lock(&freezer->lock);
	if (state == MEMBER_FROZEN && freezer->thawing)
		state = MEMBER_LATE;
	member->state = state;
	spin_unlock(&freezer->lock);
	wake_up(&freezer->answered);
	return state;
}

static bool is_thawing(struct shim_freezer *freezer)
{
	bool thawing;

	spin_lock(&freezer->lock);
	thawing = freezer->thawing;
	spin_unlock(&freezer->lock);
	return thawing;
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
	if (is_thawing(member->freezer))
		return false;
	error = bdev_freeze(member->opened.bdev);
	log_freeze(member->opened.bdev, error);
	return !error;
}

static void freeze_member(struct member *member)
{
	if (!open_and_freeze(member))
		return;
	if (answer(member, MEMBER_FROZEN) == MEMBER_LATE)
		pr_info(KBUILD_MODNAME ": %pg: frozen too late, thawed again\n",
			member->opened.bdev);
	else
		wait_event_idle(member->asked, state_of(member) == MEMBER_ENDS);
	thaw(member->opened.bdev);
}

static int help_member(void *context)
{
	struct member *member = context;
	unsigned int noio = memalloc_noio_save();

	wait_event_idle(member->asked, state_of(member) != MEMBER_ADDED);
	if (state_of(member) == MEMBER_FREEZES)
		freeze_member(member);
	answer(member, MEMBER_DONE);
	if (member->opened.bdev)
		bdev_close(&member->opened);
	memalloc_noio_restore(noio);
	spin_lock(&helpers_lock);
	list_del(&member->among_helpers);
	spin_unlock(&helpers_lock);
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

static bool is_late(struct member *member)
{
	bool late;

	spin_lock(&member->freezer->lock);
	late = member->freezer->thawing && member->state & (MEMBER_FREEZES | MEMBER_LATE);
	spin_unlock(&member->freezer->lock);
	return late;
}

/* Whether a take that gave up has left a helper there. Else each further take would leave one more. */
static bool is_still_frozen_late(dev_t number)
{
	struct member *member;
	bool late = false;

	spin_lock(&helpers_lock);
	list_for_each_entry(member, &helpers, among_helpers)
		late |= member->number == number && is_late(member);
	spin_unlock(&helpers_lock);
	return late;
}

/* Return: 0, or -errno: then there is no helper. */
static int start_helper(struct member *member)
{
	struct task_struct *helper = kthread_create(help_member, member, "blksnap-freeze");

	if (IS_ERR(helper))
		return PTR_ERR(helper);
	__module_get(THIS_MODULE); /* which the caller holds, too */
	kref_get(&member->freezer->users);
	member->helper = get_task_struct(helper);
	spin_lock(&helpers_lock);
	list_add(&member->among_helpers, &helpers);
	spin_unlock(&helpers_lock);
	wake_up_process(helper);
	return 0;
}

/* Return: 0, -EINTR or -EBUSY; without a helper it is taken without being frozen. */
static int add_member(struct shim_freezer *freezer, dev_t number)
{
	struct member *member;
	int error = -ENOMEM;

	if (has_member(freezer, number))
		return 0;
	if (is_still_frozen_late(number)) {
		pr_warn(KBUILD_MODNAME ": %u:%u has not answered an earlier take yet\n",
			MAJOR(number), MINOR(number));
		return -EBUSY;
	}
	member = kzalloc(sizeof(*member), GFP_KERNEL);
	if (member) {
		init_waitqueue_head(&member->asked);
		member->freezer = freezer;
		member->number = number;
		member->level = freezer->levels;
		member->state = MEMBER_ADDED;
		error = start_helper(member);
	}
	if (!error) {
		list_add(&member->link, &freezer->members);
		return 0;
	}
	kfree(member);
	if (error == -EINTR)
		return error;
	pr_warn(KBUILD_MODNAME ": %u:%u cannot be frozen (%d)\n", MAJOR(number), MINOR(number),
		error);
	return 0;
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

static int add_device(struct shim_freezer *freezer, struct block_device *bdev)
{
	unsigned long index = 0;
	dev_t number = bdev->bd_dev;
	int error;

	do {
		error = add_member(freezer, number);
	} while (!error && !bdev_is_partition(bdev) &&
		 (number = next_partition(bdev->bd_disk, &index)));
	return error;
}

/* Whether no member from this level on has one of these states. */
static bool none_is(struct shim_freezer *freezer, unsigned int level, unsigned int states)
{
	struct member *member;
	bool none = true;

	spin_lock(&freezer->lock);
	list_for_each_entry(member, &freezer->members, link)
		none &= member->level < level || !(member->state & states);
	spin_unlock(&freezer->lock);
	return none;
}

/* What freezes still comes too late, and knows. */
static void thaw_level(struct shim_freezer *freezer, unsigned int level)
{
	struct member *member;

	list_for_each_entry(member, &freezer->members, link)
		if (member->level == level && state_of(member) & (MEMBER_ADDED | MEMBER_FROZEN))
			ask(member, MEMBER_ENDS);
}

/* So that when the take returns, nothing of it holds a device or the module. One that is late has no
 * known end. A helper ends by itself: this only waits. */
static void join_helper(struct member *member)
{
	if (!member->helper || state_of(member) != MEMBER_DONE)
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
	init_waitqueue_head(&freezer->answered);
	INIT_LIST_HEAD(&freezer->members);
	return freezer;
}

int shim_freezer_add(struct shim_freezer *freezer, struct shim_bdev *const *bdevs, shim_u32 count)
{
	int error = 0;
	shim_u32 i;

	for (i = 0; i < count && !error; i++)
		error = add_device(freezer, bdevs[i]->bdev);
	freezer->levels++;
	return error;
}

int shim_freezer_freeze(struct shim_freezer *freezer, shim_u32 timeout_ms)
{
	struct member *member;

	list_for_each_entry(member, &freezer->members, link)
		if (member->level == freezer->frozen_levels)
			ask(member, MEMBER_FREEZES);
	freezer->frozen_levels++;
	return wait_event_timeout(freezer->answered, none_is(freezer, 0, MEMBER_FREEZES),
				  msecs_to_jiffies(timeout_ms))
		       ? 0
		       : -ETIMEDOUT;
}

void shim_freezer_thaw(struct shim_freezer *freezer)
{
	unsigned long end = jiffies + THAW_PATIENCE;
	unsigned int level = freezer->levels;
	struct member *member;

	spin_lock(&freezer->lock);
	freezer->thawing = true;
	spin_unlock(&freezer->lock);
	while (level--) {
		long left = end - jiffies;

		thaw_level(freezer, level);
		if (level && left > 0)
			wait_event_timeout(freezer->answered,
					   none_is(freezer, level, MEMBER_NOT_DONE), left);
	}
	wait_event(freezer->answered, none_is(freezer, 0, MEMBER_FROZEN | MEMBER_ENDS));
	list_for_each_entry(member, &freezer->members, link)
		join_helper(member);
}

void shim_freezer_destroy(struct shim_freezer *freezer)
{
	if (!freezer->thawing)
		shim_freezer_thaw(freezer);
	kref_put(&freezer->users, freezer_release);
}
