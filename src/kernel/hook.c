// SPDX-License-Identifier: GPL-2.0
/*
 * Hook: where bios enter the block layer, submit_bio_noacct().
 *
 * Two mechanisms, one decision. The direct call returns into the function or past it, so there
 * is no recursion; it is exclusive with other direct calls (BPF fentry) on this function. The
 * redirect (ftrace with IPMODIFY) replaces the function, which then has to call the original
 * itself for bios that pass; it is exclusive with a livepatch of this function. Direct is tried
 * first; the module parameter `hook` chooses for tests.
 *
 * A bio for a disk that is not in the table pays a few loads: no lock, no shared write, no call
 * into the core. Only operations that change data of the disk go on from there.
 *
 * Who can be inside when the hook goes: a task between the patched entry and the handler (it has
 * not slept: a grace period of tasks RCU), a task inside the handler that sleeps (SRCU), and a
 * task between the end of its SRCU section and its return (tasks RCU again).
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/ftrace.h>
#include <linux/hash.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <blksnap/port/bio.h>
#include <blksnap/port/hook.h>
#include "blksnap-features.h"
#include "bdev.h"
#include "work.h"

#define HOOKED_FUNCTION "submit_bio_noacct"

/* --- the table of hooked disks --------------------------------------------------------------- */

#define TABLE_BITS 6

struct hooked_disk {
	struct hlist_node link;
	struct gendisk *key; /* its memory is held by the core's remembered device */
	void *disk;
	struct rcu_head rcu;
};

static struct hlist_head table[1 << TABLE_BITS] __read_mostly;
static DEFINE_MUTEX(table_lock);

static __always_inline struct hlist_head *bucket_of(struct gendisk *key)
{
	return &table[hash_ptr(key, TABLE_BITS)];
}

/* Context: RCU read section. Return: what the core gave for the disk, or NULL. */
static __always_inline void *find_disk(struct hlist_head *bucket, struct gendisk *key)
{
	struct hooked_disk *hooked;

	hlist_for_each_entry_rcu(hooked, bucket, link)
		if (hooked->key == key)
			return hooked->disk;
	return NULL;
}

int shim_hook_add_disk(struct shim_bdev *bdev, void *disk)
{
	struct hooked_disk *hooked = kmalloc(sizeof(*hooked), GFP_KERNEL);

	if (!hooked)
		return -ENOMEM;
	hooked->key = bdev->bdev->bd_disk;
	hooked->disk = disk;
	mutex_lock(&table_lock);
	hlist_add_head_rcu(&hooked->link, bucket_of(hooked->key));
	mutex_unlock(&table_lock);
	return 0;
}

static struct hooked_disk *find_entry(void *disk)
{
	struct hooked_disk *hooked;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		hlist_for_each_entry(hooked, &table[i], link)
			if (hooked->disk == disk)
				return hooked;
	return NULL;
}

void shim_hook_del_disk(void *disk)
{
	struct hooked_disk *hooked;

	mutex_lock(&table_lock);
	hooked = find_entry(disk);
	if (hooked)
		hlist_del_rcu(&hooked->link);
	mutex_unlock(&table_lock);
	if (!WARN_ON_ONCE(!hooked))
		kfree_rcu(hooked, rcu);
}

/* --- the decision ---------------------------------------------------------------------------- */

DEFINE_STATIC_SRCU(inside);

static __always_inline bool changes_data(struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_WRITE:
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
	case REQ_OP_WRITE_ZEROES:
		return bio->bi_iter.bi_size;
	default:
		return false;
	}
}

/* Where the bio's disk stands if it is hooked. A full bucket may be another disk's; an empty one is
 * certain: NULL. */
static __always_inline struct hlist_head *bucket_of_bio(struct bio *bio)
{
	struct hlist_head *bucket;

	if (!changes_data(bio))
		return NULL;
	bucket = bucket_of(bio->bi_bdev->bd_disk);
	return READ_ONCE(bucket->first) ? bucket : NULL;
}

static bool plug_forbids_waiting(const struct blk_plug *plug)
{
#ifdef HAVE_PLUG_NOWAIT
	return plug && plug->nowait;
#else
	return false;
#endif
}

/* Waiting here would deadlock a stacked driver (bios on current->bio_list wait for our return)
 * and a work of ours (it may be the one that lets parked bios go). */
static bool submitter_may_wait(void)
{
	return !current->bio_list && !plug_forbids_waiting(current->plug) && !work_runs_here();
}

/* With a plug that holds nothing back the submitter does not batch. One that holds requests, or tags
 * for some, is emptied when we sleep and must stay. */
static bool plug_is_idle(const struct blk_plug *plug)
{
#ifdef HAVE_PLUG_CACHED_RQS
	bool has_tags = !rq_list_empty(&plug->cached_rqs);
#else
	bool has_tags = !rq_list_empty(plug->cached_rq);
#endif

	return !plug->rq_count && !has_tags && list_empty(&plug->cb_list);
}

/* The same reasons forbid to submit a bio of ours before the caller's: on current->bio_list it would
 * be held back, and a plug with nowait would make the device refuse it. In a plug that is in use it
 * would wait for the submitter's other bios: then the worker is quicker. The hook is called where
 * submission may sleep, which is why the context needs no look. A device that is asked for a write
 * with REQ_NOWAIT knows it for reads, too: others were let pass, to refuse the write themselves. */
enum shim_may_read shim_submitter_may_read(struct bio *bio)
{
	struct blk_plug *plug = current->plug;

	if (!submitter_may_wait() || (plug && !plug_is_idle(plug)))
		return SHIM_MAY_NOT_READ;
	return bio->bi_opf & REQ_NOWAIT ? SHIM_MAY_READ_NOWAIT : SHIM_MAY_READ;
}

/* A task that is marked as having a time in its plug must have a plug: the scheduler wipes that time
 * when it switches, and does not look. */
static void forget_time_of_plug(void)
{
#ifdef HAVE_PLUG_TIMESTAMP
	blk_plug_invalidate_ts();
#endif
}

/* Without a plug a read is issued at once, so that it may be done when the write is looked at again. */
static void read_first(void *copy)
{
	struct blk_plug *plug = current->plug;

	forget_time_of_plug();
	current->plug = NULL;
#ifdef HAVE_PLUG_TIMESTAMP
	WARN_ON_ONCE(current->flags & PF_BLOCK_TS);
#endif
	blksnap_write_read_first(copy);
	current->plug = plug;
}

static __always_inline struct blksnap_decision ask_core(struct bio *bio, struct hlist_head *bucket,
							void **disk)
{
	struct blksnap_decision decision = {.verdict = BLKSNAP_PASS};

	*disk = find_disk(bucket, bio->bi_bdev->bd_disk);
	if (*disk)
		decision = blksnap_write_submit(*disk, bio);
	return decision;
}

/* Does what the core asked for outside of the RCU read section that the caller began, and asks it
 * again where that is due. @nowait is the bio's, which may be gone. */
static noinline bool core_takes_slowly(struct bio *bio, struct hlist_head *bucket, void *disk,
				       struct blksnap_decision decision, bool nowait)
{
	for (;;) {
		int section = srcu_read_lock(&inside);

		rcu_read_unlock();
		if (decision.verdict == BLKSNAP_TAKEN_CROWDED)
			blksnap_write_backpressure(disk, !nowait && submitter_may_wait());
		else
			read_first(decision.copy);
		srcu_read_unlock(&inside, section);
		if (decision.verdict != BLKSNAP_READ_FIRST)
			return true;
		rcu_read_lock();
		decision = ask_core(bio, bucket, &disk);
		if (decision.verdict < BLKSNAP_TAKEN_CROWDED)
			break;
	}
	rcu_read_unlock();
	return decision.verdict != BLKSNAP_PASS;
}

/* Return: true if the core has taken the bio, which must not be touched then. */
static noinline bool core_takes(struct bio *bio, struct hlist_head *bucket)
{
	bool nowait = bio->bi_opf & REQ_NOWAIT;
	struct blksnap_decision decision;
	void *disk;

	rcu_read_lock();
	decision = ask_core(bio, bucket, &disk);
	if (unlikely(decision.verdict >= BLKSNAP_TAKEN_CROWDED))
		return core_takes_slowly(bio, bucket, disk, decision, nowait);
	rcu_read_unlock();
	return decision.verdict != BLKSNAP_PASS;
}

/* --- direct call ----------------------------------------------------------------------------- */

void hook_trampoline(void);
void hook_resubmit(struct bio *bio);
extern const char hook_resubmit_return[];

bool hook_enter(struct bio *bio);
notrace bool hook_enter(struct bio *bio)
{
	struct hlist_head *bucket = bucket_of_bio(bio);

	return bucket && core_takes(bio, bucket);
}

static struct ftrace_ops direct_ops;
static struct ftrace_ops redirect_ops;

/* The kernel has switched ftrace off after an error of its own, and with it the means to unpatch the function: it
 * may go on calling us. With an empty table that does no harm, as long as our code is there. */
static bool hook_is_kept;

#define FTRACE_IS_BROKEN                                                                           \
	", ftrace is broken; nothing can be tracked until the machine is rebooted\n"

static void log_kept(void)
{
	pr_err(KBUILD_MODNAME ": " HOOKED_FUNCTION " cannot be unhooked" FTRACE_IS_BROKEN);
}

static void keep_hook(void)
{
	log_kept();
	hook_is_kept = true;
	if (try_module_get(THIS_MODULE))
		return;
	/* It is being unloaded, too late to refuse. An rmmod that never ends is better than calls into
	 * memory that was freed. */
	for (;;)
		schedule_timeout_idle(MAX_SCHEDULE_TIMEOUT);
}

/* Makes @ops anew: ftrace_free_filter() leaves pointers to what it freed. The function is given by
 * its address: without memory, ftrace_set_filter() succeeds with an empty filter, which means every
 * function of the kernel, the callback included. */
static int prepare(struct ftrace_ops *ops, const void *function, ftrace_func_t callback,
		   unsigned long flags)
{
	*ops = (struct ftrace_ops){.func = callback, .flags = flags};
	return ftrace_set_filter_ip(ops, (unsigned long)function, 0, 0);
}

#ifdef HAVE_FTRACE_DIRECT_MULTI

static int direct_register(void)
{
	return register_ftrace_direct_multi(&direct_ops, (unsigned long)hook_trampoline);
}

static int direct_unregister(void)
{
	return unregister_ftrace_direct_multi(&direct_ops, (unsigned long)hook_trampoline);
}

#else

static int direct_register(void)
{
	return register_ftrace_direct(&direct_ops, (unsigned long)hook_trampoline);
}

/* The filter is ours to free: freed by both it would be freed twice. */
static int direct_unregister(void)
{
	return unregister_ftrace_direct(&direct_ops, (unsigned long)hook_trampoline, false);
}

#endif

/* Then unregistering would not unpatch anything, but spoil what it is given. */
static bool ftrace_is_dead(void)
{
	static struct ftrace_ops probe_ops;
	int error = prepare(&probe_ops, blk_mark_disk_dead, NULL, 0);

	if (!error)
		ftrace_free_filter(&probe_ops);
	return error == -ENODEV;
}

static int direct_remove(void)
{
	int error = direct_unregister();

	if (!error)
		ftrace_free_filter(&direct_ops);
	return error;
}

static notrace void stub_callback(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
				  struct ftrace_regs *registers)
{
}

/* Registering a direct call succeeds, without effect, while kernel.ftrace_enabled is 0; a
 * permanent callback is refused then, on whatever function. This one is rarely called. */
static int check_ftrace_enabled(void)
{
	static struct ftrace_ops probe_ops;
	int error = prepare(&probe_ops, blk_mark_disk_dead, stub_callback, FTRACE_OPS_FL_PERMANENT);

	if (error)
		return error;
	error = register_ftrace_function(&probe_ops);
	if (!error)
		unregister_ftrace_function(&probe_ops);
	ftrace_free_filter(&probe_ops);
	return error;
}

static int direct_install(void)
{
	int error = prepare(&direct_ops, submit_bio_noacct, NULL, 0);

	if (error)
		return error;
	error = direct_register();
	if (error) {
		ftrace_free_filter(&direct_ops);
		return error;
	}
	/* From here on kernel.ftrace_enabled cannot be set to 0 ... */
	direct_ops.flags |= FTRACE_OPS_FL_PERMANENT;
	/* ... but it may have been so before. */
	error = check_ftrace_enabled();
	if (error && direct_remove())
		keep_hook();
	return error;
}

/* --- redirect -------------------------------------------------------------------------------- */

/* Runs instead of submit_bio_noacct(), for bios that may be of a hooked disk. */
static notrace void hook_redirected(struct bio *bio)
{
	int section = srcu_read_lock(&inside);

	if (!core_takes(bio, bucket_of(bio->bi_bdev->bd_disk)))
		hook_resubmit(bio);
	srcu_read_unlock(&inside, section);
}

#ifdef HAVE_FTRACE_ARGUMENTS
#define first_argument(registers) ftrace_regs_get_argument(registers, 0)
#define set_instruction_pointer ftrace_regs_set_instruction_pointer
#else
#define first_argument(registers) ((registers)->regs.di)
#define set_instruction_pointer ftrace_instruction_pointer_set
#endif

static notrace void redirect_callback(unsigned long ip, unsigned long parent,
				      struct ftrace_ops *ops, struct ftrace_regs *registers)
{
	struct bio *bio = (struct bio *)first_argument(registers);

	/* Only this very call must not come back here; whether a bio is known is the core's
	 * question. */
	if (!bucket_of_bio(bio) || parent == (unsigned long)hook_resubmit_return)
		return;
	set_instruction_pointer(registers, (unsigned long)hook_redirected);
}

static int redirect_remove(void)
{
	int error = unregister_ftrace_function(&redirect_ops);

	if (!error)
		ftrace_free_filter(&redirect_ops);
	return error;
}

static int redirect_install(void)
{
	int error = prepare(&redirect_ops, submit_bio_noacct, redirect_callback,
			    FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT);

	if (error)
		return error;
	error = register_ftrace_function(&redirect_ops);
	if (error)
		ftrace_free_filter(&redirect_ops);
	return error;
}

/* --- install and remove ---------------------------------------------------------------------- */

enum mechanism { HOOK_AUTO, HOOK_DIRECT, HOOK_REDIRECT, HOOK_KINDS };

static const char *const mechanism_names[] = {
	[HOOK_AUTO] = "auto",
	[HOOK_DIRECT] = "direct",
	[HOOK_REDIRECT] = "ipmodify",
	[HOOK_KINDS] = NULL,
};

static int wanted = HOOK_AUTO;
static enum mechanism installed;

static int wanted_set(const char *text, const struct kernel_param *parameter)
{
	int kind = __sysfs_match_string(mechanism_names, HOOK_KINDS, text);

	if (kind < 0) {
		pr_err(KBUILD_MODNAME ": parameter hook must be auto, direct or ipmodify\n");
		return -EINVAL;
	}
	wanted = kind;
	return 0;
}

static int wanted_get(char *buffer, const struct kernel_param *parameter)
{
	return sysfs_emit(buffer, "%s\n", mechanism_names[wanted]);
}

static const struct kernel_param_ops wanted_operations = {
	.set = wanted_set,
	.get = wanted_get,
};
module_param_cb(hook, &wanted_operations, NULL, 0644);
MODULE_PARM_DESC(hook, "How bios are intercepted from the next time on: auto, direct, ipmodify");

/* Return: the error for who wants to track a device; -ENODEV would tell of that device. */
static int refuse(int error)
{
	if (ftrace_is_dead()) {
		pr_err(KBUILD_MODNAME ": " HOOKED_FUNCTION " cannot be hooked" FTRACE_IS_BROKEN);
		return -EIO;
	}
	if (error == -EBUSY)
		pr_err(KBUILD_MODNAME
		       ": " HOOKED_FUNCTION
		       " cannot be hooked: another user of ftrace holds it (a livepatch or a BPF program), or kernel.ftrace_enabled is 0\n");
	else
		pr_err(KBUILD_MODNAME
		       ": " HOOKED_FUNCTION
		       " cannot be hooked (%d): the kernel lacks what ftrace needs for it\n",
		       error);
	return error;
}

static int install(enum mechanism kind)
{
	int error = kind == HOOK_DIRECT ? direct_install() : redirect_install();

	if (error)
		return error;
	installed = kind;
	pr_debug(KBUILD_MODNAME ": writes are intercepted (%s)\n", mechanism_names[kind]);
	return 0;
}

int shim_hook_install(void)
{
	enum mechanism first = READ_ONCE(wanted);
	int error;

	if (hook_is_kept) {
		log_kept();
		return -EIO;
	}
	error = install(first == HOOK_REDIRECT ? HOOK_REDIRECT : HOOK_DIRECT);
	if (error && first == HOOK_AUTO) {
		pr_debug(KBUILD_MODNAME ": no direct call on " HOOKED_FUNCTION
					" (%d), redirecting it\n",
			 error);
		error = install(HOOK_REDIRECT);
	}
	return error ? refuse(error) : 0;
}

static void wait_for_tasks(void)
{
#ifdef CONFIG_TASKS_RCU
	synchronize_rcu_tasks();
#else
	synchronize_rcu();
#endif
}

static int remove_installed(void)
{
	if (ftrace_is_dead())
		return -ENODEV;
	return installed == HOOK_DIRECT ? direct_remove() : redirect_remove();
}

void shim_hook_remove(void)
{
	if (!hook_is_kept && remove_installed())
		keep_hook();
	wait_for_tasks();
	synchronize_srcu(&inside);
	wait_for_tasks();
	if (!hook_is_kept)
		pr_debug(KBUILD_MODNAME ": writes are no longer intercepted\n");
}
