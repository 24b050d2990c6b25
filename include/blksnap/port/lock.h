/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Port: locks, wait queues, RCU, per-CPU slots.
 *
 * The storage of locks lies inside core objects; its size is fixed here, large enough for
 * kernels with lockdep, and each backend asserts that its lock fits.
 */
#ifndef BLKSNAP_PORT_LOCK_H
#define BLKSNAP_PORT_LOCK_H

#include <blksnap/port/base.h>

enum shim_lock_rank {
	SHIM_RANK_TAKE,
	SHIM_RANK_CONTROL,
	SHIM_RANK_DISK,
	SHIM_RANK_AREA,
	SHIM_RANK_STORAGE,
	SHIM_RANK_RELEASE,
	SHIM_RANK_IMAGE,
	SHIM_RANK_EVENTS,
	SHIM_RANK_COUNT,
};

struct shim_spinlock {
	shim_u64 raw[16];
};

struct shim_mutex {
	shim_u64 raw[24];
};

struct shim_waitqueue {
	shim_u64 raw[16];
};

SHIM_BEGIN
/* One lockdep class per rank. @name lives as long as the lock. */
void shim_spinlock_init(struct shim_spinlock *lock, unsigned rank, const char *name) SHIM_NOEXCEPT;
void shim_spinlock_destroy(struct shim_spinlock *lock) SHIM_NOEXCEPT;
/* Interrupts are off while it is held. Context: any. Return: flags for the unlock. */
unsigned long shim_spinlock_lock(struct shim_spinlock *lock) SHIM_NOEXCEPT;
void shim_spinlock_unlock(struct shim_spinlock *lock, unsigned long flags) SHIM_NOEXCEPT;

void shim_mutex_init(struct shim_mutex *mutex, unsigned rank, const char *name) SHIM_NOEXCEPT;
void shim_mutex_destroy(struct shim_mutex *mutex) SHIM_NOEXCEPT;
/* Context: process. */
void shim_mutex_lock(struct shim_mutex *mutex) SHIM_NOEXCEPT;
void shim_mutex_unlock(struct shim_mutex *mutex) SHIM_NOEXCEPT;

void shim_waitqueue_init(struct shim_waitqueue *queue, const char *name) SHIM_NOEXCEPT;
void shim_waitqueue_destroy(struct shim_waitqueue *queue) SHIM_NOEXCEPT;
/* A full memory barrier stands before the check for waiters. Context: any. */
void shim_waitqueue_wake_all(struct shim_waitqueue *queue) SHIM_NOEXCEPT;
/**
 * shim_waitqueue_wait() - sleep until @condition(@argument) gives non-zero
 * @condition: called by the waiting thread, before sleeping and after each wake; does not sleep
 * @timeout_ms: 0 for no limit
 * @interruptible: a signal ends the wait
 *
 * Context: process. Return: 0, -ETIMEDOUT, -EINTR.
 */
int shim_waitqueue_wait(struct shim_waitqueue *queue, int (*condition)(void *argument),
			void *argument, shim_u32 timeout_ms, int interruptible) SHIM_NOEXCEPT;

/*
 * RCU. blksnap_write_submit() and blksnap_write_* completions run in a read section that the
 * backend opened; so do bodies between these two calls. No sleeping inside.
 */
void shim_rcu_read_lock(void) SHIM_NOEXCEPT;
void shim_rcu_read_unlock(void) SHIM_NOEXCEPT;
/* Waits for all read sections that began before. Context: process. */
void shim_rcu_synchronize(void) SHIM_NOEXCEPT;

/* Number of CPU slots, constant after load; and the slot of the calling CPU, a hint only:
 * the caller may move at any time. Context: any. */
unsigned shim_cpu_count(void) SHIM_NOEXCEPT;
unsigned shim_cpu_current(void) SHIM_NOEXCEPT;
SHIM_END

#endif
