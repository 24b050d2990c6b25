// SPDX-License-Identifier: GPL-2.0
//
// Port: locks, wait queues, RCU, CPU slots.
//
// Locks check what lockdep would: the order of ranks, recursion, sleeping under a spinlock. A
// synchronize waits for exactly the read sections that were open when it began.
#include <blksnap/port/lock.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>
#include <world/counts.hpp>
#include <world/report.hpp>
#include <world/world.hpp>

using namespace sim;

namespace
{

struct Lock {
	Fiber *owner;
	Fiber *waiters;
	unsigned rank;
	bool spin;
	bool alive;
	const char *name;
};
static_assert(sizeof(Lock) <= sizeof(shim_spinlock) && sizeof(Lock) <= sizeof(shim_mutex));

struct Waiter {
	Fiber *fiber;
	Waiter *next;
	bool woken;
};

struct Queue {
	Waiter *waiters;
	const char *name;
};
static_assert(sizeof(Queue) <= sizeof(shim_waitqueue));

template <class T, class Raw> T &as(Raw *raw)
{
	return *reinterpret_cast<T *>(raw);
}

void check_order(const Lock &lock)
{
	for (const HeldLock &held : scheduler().current().held) {
		if (held.lock == &lock)
			fail("lockdep", "%s is taken twice", lock.name);
		if (held.rank >= lock.rank)
			fail("lockdep", "%s (rank %u) is taken under a lock of rank %u", lock.name,
			     lock.rank, held.rank);
	}
}

void acquire(Lock &lock)
{
	if (!lock.alive)
		fail("lockdep", "a lock is used that is not initialised");
	scheduler().point();
	check_order(lock);
	Fiber &self = scheduler().current();
	while (lock.owner) {
		self.next_waiter = lock.waiters;
		lock.waiters = &self;
		scheduler().block(lock.name);
		// Woken by somebody else (a kill): it must not be on the list twice.
		for (Fiber **at = &lock.waiters; *at; at = &(*at)->next_waiter) {
			if (*at == &self) {
				*at = self.next_waiter;
				break;
			}
		}
	}
	lock.owner = &self;
	self.held.push_back({&lock, lock.rank, lock.spin});
}

void release(Lock &lock)
{
	Fiber &self = scheduler().current();
	if (lock.owner != &self)
		fail("lockdep", "%s is unlocked by a task that does not hold it", lock.name);
	std::erase_if(self.held, [&](const HeldLock &held) { return held.lock == &lock; });
	lock.owner = nullptr;
	while (Fiber *waiter = lock.waiters) {
		lock.waiters = waiter->next_waiter;
		scheduler().wake(*waiter);
	}
	scheduler().point();
}

void retire(Lock &lock)
{
	if (lock.owner || lock.waiters)
		fail("lockdep", "%s is destroyed while in use", lock.name);
	lock.alive = false;
}

void unlink(Queue &queue, Waiter &waiter)
{
	for (Waiter **at = &queue.waiters; *at; at = &(*at)->next) {
		if (*at == &waiter) {
			*at = waiter.next;
			return;
		}
	}
}

} // namespace

void shim_spinlock_init(shim_spinlock *lock, unsigned rank, const char *name) noexcept
{
	new (lock) Lock{nullptr, nullptr, rank, true, true, name};
}

void shim_spinlock_destroy(shim_spinlock *lock) noexcept
{
	retire(as<Lock>(lock));
}

unsigned long shim_spinlock_lock(shim_spinlock *lock) noexcept
{
	acquire(as<Lock>(lock));
	return 1;
}

void shim_spinlock_unlock(shim_spinlock *lock, unsigned long) noexcept
{
	release(as<Lock>(lock));
}

void shim_mutex_init(shim_mutex *mutex, unsigned rank, const char *name) noexcept
{
	new (mutex) Lock{nullptr, nullptr, rank, false, true, name};
}

void shim_mutex_destroy(shim_mutex *mutex) noexcept
{
	retire(as<Lock>(mutex));
}

void shim_mutex_lock(shim_mutex *mutex) noexcept
{
	scheduler().might_sleep("a mutex");
	acquire(as<Lock>(mutex));
}

void shim_mutex_unlock(shim_mutex *mutex) noexcept
{
	release(as<Lock>(mutex));
}

void shim_waitqueue_init(shim_waitqueue *queue, const char *name) noexcept
{
	new (queue) Queue{nullptr, name};
}

void shim_waitqueue_destroy(shim_waitqueue *queue) noexcept
{
	if (as<Queue>(queue).waiters)
		fail("lockdep", "wait queue %s is destroyed while somebody waits",
		     as<Queue>(queue).name);
}

void shim_waitqueue_wake_all(shim_waitqueue *queue) noexcept
{
	for (Waiter *waiter = as<Queue>(queue).waiters; waiter; waiter = waiter->next) {
		waiter->woken = true;
		scheduler().wake(*waiter->fiber);
	}
	scheduler().point();
}

int shim_waitqueue_wait(shim_waitqueue *raw, int (*condition)(void *), void *argument,
			shim_u32 timeout_ms, int interruptible) noexcept
{
	Queue &queue = as<Queue>(raw);
	Scheduler &sched = scheduler();
	sched.might_sleep("a wait queue");
	const u64 deadline = sched.now() + u64{timeout_ms} * 1000;
	for (;;) {
		Waiter self{&sched.current(), queue.waiters, false};
		queue.waiters = &self;
		sched.point();
		const bool holds = condition(argument);
		const bool late = timeout_ms && sched.now() >= deadline;
		const bool killed = interruptible && sched.current().signalled;
		if (!holds && !late && !killed && !self.woken) {
			if (timeout_ms)
				sched.block_for(queue.name, deadline - sched.now());
			else
				sched.block(queue.name);
		}
		unlink(queue, self);
		if (holds)
			return 0;
		if (killed)
			return -4;
		if (late)
			return -110;
	}
}

void shim_rcu_read_lock() noexcept
{
	Fiber &self = scheduler().current();
	if (self.rcu_depth++ == 0)
		self.rcu_section = world().next_rcu_section++;
	scheduler().point();
}

void shim_rcu_read_unlock() noexcept
{
	Fiber &self = scheduler().current();
	if (!self.rcu_depth)
		fail("rcu", "a read section ends that did not begin");
	if (--self.rcu_depth == 0) {
		self.rcu_section = 0;
		for (Fiber *waiter : std::exchange(world().rcu_waiters, {}))
			scheduler().wake(*waiter);
		scheduler().point();
	}
}

void shim_rcu_synchronize() noexcept
{
	Scheduler &sched = scheduler();
	sched.might_sleep("synchronize_rcu");
	counts.grace_periods++;
	const u64 limit = world().next_rcu_section;
	// Mostly long, but nothing says that it must be.
	sched.sleep(world().random.below(world().random.one_in(3) ? 10 : 2000));
	for (;;) {
		bool open = false;
		for (const auto &fiber : sched.fibers())
			open |= fiber->rcu_section && fiber->rcu_section < limit;
		if (!open)
			return;
		world().rcu_waiters.push_back(&sched.current());
		sched.block("an rcu grace period");
	}
}

unsigned shim_cpu_count() noexcept
{
	return world().cpus;
}

unsigned shim_cpu_current() noexcept
{
	scheduler().point();
	return static_cast<unsigned>(world().random.below(world().cpus));
}

extern "C" void sim_atomic_point(int order) noexcept
{
	if (order != __ATOMIC_RELAXED)
		scheduler().point();
}
