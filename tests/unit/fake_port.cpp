// SPDX-License-Identifier: GPL-2.0
//
// The ports that leaf types of the core use, on top of pthreads.
#include "fake_port.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <pthread.h>

#include <blksnap/port/control.h>
#include <blksnap/port/lock.h>
#include <blksnap/port/log.h>
#include <blksnap/port/memory.h>

namespace
{

std::atomic<long> live{0};
std::atomic<long> countdown{0};
std::atomic<unsigned long> synchronized{0};
std::atomic<bool> signalled{false};
thread_local unsigned spinlocks_held = 0; // a bit per rank
thread_local unsigned rcu_depth = 0;
thread_local std::function<void()> atomic_hook;

void check(bool condition, const char *what)
{
	if (condition)
		return;
	std::fprintf(stderr, "fake port: %s\n", what);
	std::abort();
}

void check_may_sleep()
{
	check(spinlocks_held == 0 && rcu_depth == 0, "sleeping in atomic context");
}

bool fault_fires()
{
	long left = countdown.load();
	while (left > 0 && !countdown.compare_exchange_weak(left, left - 1)) {
	}
	return left == 1;
}

void *allocate(std::size_t bytes, bool zeroed)
{
	check(bytes > 0, "allocation of nothing");
	if (fault_fires())
		return nullptr;
	void *memory = std::aligned_alloc(16, (bytes + 15) / 16 * 16);
	check(memory != nullptr, "the host is out of memory");
	// What is not asked to be zero must not happen to be.
	std::memset(memory, zeroed ? 0 : 0xa5, bytes);
	live++;
	return memory;
}

void release(void *memory)
{
	if (!memory)
		return;
	live--;
	std::free(memory);
}

template <class T, class Raw> T &inside(Raw *raw)
{
	static_assert(sizeof(T) <= sizeof(Raw) && alignof(T) <= alignof(Raw));
	return *reinterpret_cast<T *>(raw);
}

struct FakeSpinlock {
	std::mutex mutex;
	unsigned rank;
};

struct FakeWaitqueue {
	std::mutex mutex;
	std::condition_variable wake;
	unsigned long wakes = 0;
};

// Writers first, or readers that never pause would keep a grace period from ending.
struct Rcu {
	Rcu()
	{
		pthread_rwlockattr_t attributes;
		pthread_rwlockattr_init(&attributes);
		pthread_rwlockattr_setkind_np(&attributes,
					      PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
		pthread_rwlock_init(&lock, &attributes);
		pthread_rwlockattr_destroy(&attributes);
	}
	pthread_rwlock_t lock;
};
Rcu rcu;

} // namespace

struct bio {
	struct bio *next;
};

namespace fake
{

struct ::bio *bio(unsigned number)
{
	static struct ::bio bios[64];
	return &bios[number % 64];
}

long live_allocations()
{
	return live;
}

void fail_allocation(long n)
{
	countdown = n;
}

bool fault_is_armed()
{
	return countdown > 0;
}

unsigned long grace_periods()
{
	return synchronized;
}

void set_signal(bool pending)
{
	signalled = pending;
}

void set_atomic_hook(std::function<void()> hook)
{
	atomic_hook = std::move(hook);
}

blksnap::DiffArea &no_area()
{
	static long place;
	return reinterpret_cast<blksnap::DiffArea &>(place);
}

} // namespace fake

// --- log ---------------------------------------------------------------------------------------

void shim_log(shim_log_level, const char *format, ...) noexcept
{
	std::va_list arguments;
	va_start(arguments, format);
	std::vfprintf(stderr, format, arguments);
	va_end(arguments);
	std::fputc('\n', stderr);
}

void shim_log_panic(const char *what, const char *file, int line) noexcept
{
	std::fprintf(stderr, "assertion failed: %s at %s:%d\n", what, file, line);
	std::abort();
}

// --- memory ------------------------------------------------------------------------------------

void *shim_memory_alloc(std::size_t bytes, unsigned gfp) noexcept
{
	if (gfp != SHIM_GFP_NOWAIT)
		check_may_sleep();
	return allocate(bytes, false);
}

void shim_memory_free(void *memory) noexcept
{
	release(memory);
}

struct bio *shim_bio_next(struct bio *bio) noexcept
{
	return bio->next;
}

void shim_bio_set_next(struct bio *bio, struct bio *next) noexcept
{
	bio->next = next;
}

struct page *shim_page_alloc(unsigned gfp) noexcept
{
	return static_cast<struct page *>(shim_memory_alloc(4096, gfp));
}

void shim_page_free(struct page *page) noexcept
{
	release(page);
}

void *shim_memory_alloc_large(std::size_t bytes) noexcept
{
	check_may_sleep();
	return allocate(bytes, true);
}

void shim_memory_free_large(void *memory) noexcept
{
	if (memory)
		check_may_sleep();
	release(memory);
}

// --- locks -------------------------------------------------------------------------------------

void shim_spinlock_init(shim_spinlock *lock, unsigned rank, const char *) noexcept
{
	new (&inside<FakeSpinlock>(lock)) FakeSpinlock{{}, rank};
}

void shim_spinlock_destroy(shim_spinlock *lock) noexcept
{
	inside<FakeSpinlock>(lock).~FakeSpinlock();
}

unsigned long shim_spinlock_lock(shim_spinlock *lock) noexcept
{
	auto &spinlock = inside<FakeSpinlock>(lock);
	check(spinlocks_held < 1u << spinlock.rank, "locks are taken out of order");
	spinlock.mutex.lock();
	spinlocks_held |= 1u << spinlock.rank;
	return spinlock.rank;
}

void shim_spinlock_unlock(shim_spinlock *lock, unsigned long flags) noexcept
{
	auto &spinlock = inside<FakeSpinlock>(lock);
	check(flags == spinlock.rank, "an unlock with the flags of another lock");
	spinlocks_held &= ~(1u << spinlock.rank);
	spinlock.mutex.unlock();
}

void shim_mutex_init(shim_mutex *mutex, unsigned, const char *) noexcept
{
	new (&inside<std::mutex>(mutex)) std::mutex;
}

void shim_mutex_destroy(shim_mutex *mutex) noexcept
{
	inside<std::mutex>(mutex).~mutex();
}

void shim_mutex_lock(shim_mutex *mutex) noexcept
{
	check_may_sleep();
	inside<std::mutex>(mutex).lock();
}

void shim_mutex_unlock(shim_mutex *mutex) noexcept
{
	inside<std::mutex>(mutex).unlock();
}

// --- waiting -----------------------------------------------------------------------------------

void shim_waitqueue_init(shim_waitqueue *queue, const char *) noexcept
{
	new (&inside<FakeWaitqueue>(queue)) FakeWaitqueue;
}

void shim_waitqueue_destroy(shim_waitqueue *queue) noexcept
{
	inside<FakeWaitqueue>(queue).~FakeWaitqueue();
}

void shim_waitqueue_wake_all(shim_waitqueue *raw) noexcept
{
	auto &queue = inside<FakeWaitqueue>(raw);
	std::lock_guard guard(queue.mutex);
	queue.wakes++;
	queue.wake.notify_all();
}

int shim_waitqueue_wait(shim_waitqueue *raw, int (*condition)(void *), void *argument,
			shim_u32 timeout_ms, int interruptible) noexcept
{
	using Clock = std::chrono::steady_clock;
	// A signal is noticed after this long at the latest.
	constexpr auto slice = std::chrono::milliseconds(2);
	auto &queue = inside<FakeWaitqueue>(raw);
	const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);

	check_may_sleep();
	for (;;) {
		std::unique_lock lock(queue.mutex);
		const unsigned long seen = queue.wakes;
		lock.unlock();
		if (condition(argument))
			return 0;
		if (interruptible && signalled)
			return -4; // -EINTR
		if (timeout_ms && Clock::now() >= end)
			return -110; // -ETIMEDOUT
		auto until = Clock::now() + slice;
		if (timeout_ms && end < until)
			until = end;
		lock.lock();
		queue.wake.wait_until(lock, until, [&] { return queue.wakes != seen; });
	}
}

unsigned shim_cpu_count() noexcept
{
	return 2;
}

unsigned shim_cpu_current() noexcept
{
	return 1;
}

void shim_rcu_read_lock() noexcept
{
	if (rcu_depth++ == 0)
		pthread_rwlock_rdlock(&rcu.lock);
}

void shim_rcu_read_unlock() noexcept
{
	check(rcu_depth > 0, "a read section ends that did not begin");
	if (--rcu_depth == 0)
		pthread_rwlock_unlock(&rcu.lock);
}

void shim_rcu_synchronize() noexcept
{
	check_may_sleep();
	pthread_rwlock_wrlock(&rcu.lock);
	pthread_rwlock_unlock(&rcu.lock);
	synchronized++;
}

// --- time and chance ---------------------------------------------------------------------------

shim_u64 shim_clock_ns() noexcept
{
	using namespace std::chrono;
	return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

// Not random, but never the same twice.
void shim_random_fill(void *to, std::size_t bytes) noexcept
{
	static std::atomic<std::uint64_t> state{1};
	auto *out = static_cast<unsigned char *>(to);
	std::uint64_t x = state += 0x9e3779b97f4a7c15;
	for (std::size_t i = 0; i < bytes; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = static_cast<unsigned char>(x >> 24);
	}
}

// The hook may replace itself: it runs as a copy.
extern "C" void unit_atomic_point(void) noexcept
{
	if (const auto hook = atomic_hook)
		hook();
}
