// SPDX-License-Identifier: GPL-2.0
/*
 * Lock port: the kernel's locks inside storage of the core.
 *
 * All locks of the core are made at the few places below, so each rank brings a lock class of
 * its own; lockdep then checks the order of the ranks.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <blksnap/port/lock.h>

static_assert(sizeof(spinlock_t) <= sizeof(struct shim_spinlock));
static_assert(sizeof(struct mutex) <= sizeof(struct shim_mutex));
static_assert(sizeof(wait_queue_head_t) <= sizeof(struct shim_waitqueue));
static_assert(__alignof__(spinlock_t) <= __alignof__(struct shim_spinlock));
static_assert(__alignof__(struct mutex) <= __alignof__(struct shim_mutex));
static_assert(__alignof__(wait_queue_head_t) <= __alignof__(struct shim_waitqueue));

static struct lock_class_key rank_keys[SHIM_RANK_COUNT];

static spinlock_t *as_spinlock(struct shim_spinlock *lock)
{
	return (spinlock_t *)lock->raw;
}

static struct mutex *as_mutex(struct shim_mutex *mutex)
{
	return (struct mutex *)mutex->raw;
}

static wait_queue_head_t *as_waitqueue(struct shim_waitqueue *queue)
{
	return (wait_queue_head_t *)queue->raw;
}

void shim_spinlock_init(struct shim_spinlock *lock, unsigned rank, const char *name)
{
	spin_lock_init(as_spinlock(lock));
	lockdep_set_class_and_name(as_spinlock(lock), &rank_keys[rank], name);
}

void shim_spinlock_destroy(struct shim_spinlock *lock) {}

unsigned long shim_spinlock_lock(struct shim_spinlock *lock)
{
	unsigned long flags;

	spin_lock_irqsave(as_spinlock(lock), flags);
	return flags;
}

void shim_spinlock_unlock(struct shim_spinlock *lock, unsigned long flags)
{
	spin_unlock_irqrestore(as_spinlock(lock), flags);
}

void shim_mutex_init(struct shim_mutex *mutex, unsigned rank, const char *name)
{
	__mutex_init(as_mutex(mutex), name, &rank_keys[rank]);
}

void shim_mutex_destroy(struct shim_mutex *mutex)
{
	mutex_destroy(as_mutex(mutex));
}

void shim_mutex_lock(struct shim_mutex *mutex)
{
	mutex_lock(as_mutex(mutex));
}

void shim_mutex_unlock(struct shim_mutex *mutex)
{
	mutex_unlock(as_mutex(mutex));
}

/* One class for all, which lockdep wants to have one name. */
void shim_waitqueue_init(struct shim_waitqueue *queue, const char *name)
{
	static struct lock_class_key key;

	__init_waitqueue_head(as_waitqueue(queue), "blksnap wait queue", &key);
}

void shim_waitqueue_destroy(struct shim_waitqueue *queue) {}

void shim_waitqueue_wake_all(struct shim_waitqueue *queue)
{
	/* wq_has_sleeper() begins with the full barrier that the port promises. */
	if (wq_has_sleeper(as_waitqueue(queue)))
		wake_up_all(as_waitqueue(queue));
}

/*
 * By a timer of high resolution: jiffies run late where the tick is held up, and then make up for it,
 * so that a wait counted in them may end before its time.
 */
static int wait_interruptible(wait_queue_head_t *queue, int (*condition)(void *), void *argument,
			      shim_u32 timeout_ms)
{
	int error;

	if (!timeout_ms)
		return wait_event_interruptible(*queue, condition(argument)) ? -EINTR : 0;
	error = wait_event_interruptible_hrtimeout(*queue, condition(argument),
						   ms_to_ktime(timeout_ms));
	if (error == -ETIME)
		return -ETIMEDOUT;
	return error ? -EINTR : 0;
}

static int wait_uninterruptible(wait_queue_head_t *queue, int (*condition)(void *), void *argument,
				shim_u32 timeout_ms)
{
	if (timeout_ms)
		return wait_event_hrtimeout(*queue, condition(argument), ms_to_ktime(timeout_ms))
			       ? -ETIMEDOUT
			       : 0;
	wait_event(*queue, condition(argument));
	return 0;
}

int shim_waitqueue_wait(struct shim_waitqueue *queue, int (*condition)(void *argument),
			void *argument, shim_u32 timeout_ms, int interruptible)
{
	if (interruptible)
		return wait_interruptible(as_waitqueue(queue), condition, argument, timeout_ms);
	return wait_uninterruptible(as_waitqueue(queue), condition, argument, timeout_ms);
}

void shim_rcu_read_lock(void)
{
	rcu_read_lock();
}

void shim_rcu_read_unlock(void)
{
	rcu_read_unlock();
}

void shim_rcu_synchronize(void)
{
	synchronize_rcu();
}

unsigned shim_cpu_count(void)
{
	return nr_cpu_ids;
}

unsigned shim_cpu_current(void)
{
	return raw_smp_processor_id();
}
