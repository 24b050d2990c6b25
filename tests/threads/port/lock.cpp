// SPDX-License-Identifier: GPL-2.0
//
// Port: locks, wait queues, RCU, CPU slots.
//
// Locks check the order of ranks, and that nobody sleeps under a spinlock or in a read section. A waiter
// sleeps until it is woken and not a moment less: a wake that is forgotten is a run that does not end.
#include <blksnap/port/lock.h>

#include <machine/machine.hpp>
#include <new>
#include <pthread.h>
#include <sched.h>
#include <time.h>

using namespace threads;

namespace
{

thread_local unsigned ranks_held = 0; // a bit per rank of spinlock
thread_local unsigned rcu_depth = 0;

struct Lock {
	pthread_mutex_t mutex;
	unsigned rank;
};
static_assert(sizeof(Lock) <= sizeof(shim_spinlock) && sizeof(Lock) <= sizeof(shim_mutex));

struct Queue {
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	u64 wakes;
};
static_assert(sizeof(Queue) <= sizeof(shim_waitqueue));

template <class T, class Raw> T &as(Raw *raw)
{
	return *reinterpret_cast<T *>(raw);
}

void let_others_in()
{
	if (one_in(200))
		usleep(static_cast<useconds_t>(below(50)));
	else if (one_in(30))
		sched_yield();
}

template <class Raw> void init(Raw *raw, unsigned rank)
{
	new (raw) Lock{PTHREAD_MUTEX_INITIALIZER, rank};
}

template <class Raw> void destroy(Raw *raw)
{
	if (pthread_mutex_destroy(&as<Lock>(raw).mutex))
		fail("a lock of rank %u is destroyed while it is held", as<Lock>(raw).rank);
}

} // namespace

namespace threads
{

std::atomic<u64> random_seed{1};

void check_may_sleep(const char *what)
{
	if (ranks_held || rcu_depth)
		fail("%s in an atomic context", what);
}

} // namespace threads

extern "C" void threads_atomic_point(int order) noexcept
{
	if (order != __ATOMIC_RELAXED)
		let_others_in();
}

void shim_spinlock_init(shim_spinlock *lock, unsigned rank, const char *) noexcept
{
	init(lock, rank);
}

void shim_spinlock_destroy(shim_spinlock *lock) noexcept
{
	destroy(lock);
}

unsigned long shim_spinlock_lock(shim_spinlock *raw) noexcept
{
	auto &lock = as<Lock>(raw);
	let_others_in();
	pthread_mutex_lock(&lock.mutex);
	if (ranks_held >= 1u << lock.rank)
		fail("a lock of rank %u is taken out of order", lock.rank);
	ranks_held |= 1u << lock.rank;
	return lock.rank;
}

void shim_spinlock_unlock(shim_spinlock *raw, unsigned long flags) noexcept
{
	auto &lock = as<Lock>(raw);
	if (flags != lock.rank)
		fail("an unlock with the flags of another lock");
	ranks_held &= ~(1u << lock.rank);
	pthread_mutex_unlock(&lock.mutex);
	if (!ranks_held)
		let_others_in();
}

void shim_mutex_init(shim_mutex *mutex, unsigned rank, const char *) noexcept
{
	init(mutex, rank);
}

void shim_mutex_destroy(shim_mutex *mutex) noexcept
{
	destroy(mutex);
}

void shim_mutex_lock(shim_mutex *mutex) noexcept
{
	check_may_sleep("a mutex");
	pthread_mutex_lock(&as<Lock>(mutex).mutex);
}

void shim_mutex_unlock(shim_mutex *mutex) noexcept
{
	pthread_mutex_unlock(&as<Lock>(mutex).mutex);
}

void shim_waitqueue_init(shim_waitqueue *raw, const char *) noexcept
{
	auto &queue = *new (raw) Queue{PTHREAD_MUTEX_INITIALIZER, {}, 0};
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&queue.wake, &attributes);
	pthread_condattr_destroy(&attributes);
}

void shim_waitqueue_destroy(shim_waitqueue *raw) noexcept
{
	pthread_cond_destroy(&as<Queue>(raw).wake);
	if (pthread_mutex_destroy(&as<Queue>(raw).mutex))
		fail("a wait queue is destroyed while somebody wakes");
}

void shim_waitqueue_wake_all(shim_waitqueue *raw) noexcept
{
	auto &queue = as<Queue>(raw);
	pthread_mutex_lock(&queue.mutex);
	queue.wakes++;
	pthread_cond_broadcast(&queue.wake);
	pthread_mutex_unlock(&queue.mutex);
}

int shim_waitqueue_wait(shim_waitqueue *raw, int (*condition)(void *), void *argument,
			shim_u32 timeout_ms, int) noexcept
{
	auto &queue = as<Queue>(raw);
	const u64 end_ns = now_ns() + u64{timeout_ms} * 1'000'000;
	const timespec end{static_cast<time_t>(end_ns / 1'000'000'000),
			   static_cast<long>(end_ns % 1'000'000'000)};

	check_may_sleep("a wait queue");
	for (;;) {
		pthread_mutex_lock(&queue.mutex);
		const u64 seen = queue.wakes;
		pthread_mutex_unlock(&queue.mutex);
		const bool late = timeout_ms && now_ns() >= end_ns;
		if (condition(argument))
			return 0;
		if (late)
			return -110;
		pthread_mutex_lock(&queue.mutex);
		if (queue.wakes == seen && timeout_ms)
			pthread_cond_timedwait(&queue.wake, &queue.mutex, &end);
		else if (queue.wakes == seen)
			pthread_cond_wait(&queue.wake, &queue.mutex);
		pthread_mutex_unlock(&queue.mutex);
	}
}

// --- RCU ---------------------------------------------------------------------------------------------

namespace
{

// Each thread tells when its read section began: readers order nothing for one another, and none waits.
struct alignas(64) Section {
	std::atomic<u64> began{0};
	std::atomic<bool> used{false};
};
Section sections[512];
std::atomic<u64> grace_periods{1};

struct Reader {
	Reader() : section(sections)
	{
		while (section->used.exchange(true))
			if (++section == sections + std::size(sections))
				fail("too many threads");
	}
	~Reader() { section->used = false; }
	Section *section;
};
thread_local Reader reader;

} // namespace

// Looked at twice: a grace period that begins in between may not have seen us.
void shim_rcu_read_lock() noexcept
{
	if (rcu_depth++)
		return;
	u64 now;
	do {
		now = grace_periods.load();
		reader.section->began.store(now);
	} while (grace_periods.load() != now);
}

void shim_rcu_read_unlock() noexcept
{
	if (!rcu_depth)
		fail("a read section ends that did not begin");
	if (--rcu_depth == 0)
		reader.section->began.store(0);
}

void shim_rcu_synchronize() noexcept
{
	check_may_sleep("a grace period");
	const u64 now = grace_periods.fetch_add(1) + 1;
	for (Section &section : sections) {
		for (;;) {
			const u64 began = section.began.load();
			if (!began || began >= now)
				break;
			usleep(20);
		}
	}
}

unsigned shim_cpu_count() noexcept
{
	return 4;
}

unsigned shim_cpu_current() noexcept
{
	return static_cast<unsigned>(below(4));
}
