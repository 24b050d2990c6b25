// SPDX-License-Identifier: GPL-2.0
//
// Locks: data lives inside its lock, and the order of locks is one enum.
//
// Guarded<T> gives its T only inside with(): I/O, allocation that sleeps and callbacks happen
// outside. A lock may be taken while locks of a smaller rank are held, never the other way round;
// the port gives each rank a lockdep class of its own, which checks it on debug kernels.
#pragma once

#include <blksnap/base/types.hpp>
#include <blksnap/port/lock.h>
#include <type_traits>

namespace blksnap
{

// Top first. Mutexes come before all spinlocks.
enum class LockRank : unsigned {
	Take = SHIM_RANK_TAKE,	     // mutex: one take at a time
	Control = SHIM_RANK_CONTROL, // mutex: snapshots, trackers, disks
	Disk = SHIM_RANK_DISK,	     // gate and parked bios of a disk
	Area = SHIM_RANK_AREA,	     // copies and chunk map of a diff area
	Storage = SHIM_RANK_STORAGE, // ranges and fill of a diff storage
	Release = SHIM_RANK_RELEASE, // bios on their way back to the origin
	Image = SHIM_RANK_IMAGE,     // queued requests of an image
	Events = SHIM_RANK_EVENTS,   // queued events of a snapshot
};

class Spinlock
{
public:
	Spinlock(LockRank rank, const char *name)
	{
		shim_spinlock_init(&raw_, static_cast<unsigned>(rank), name);
	}
	Spinlock(const Spinlock &) = delete;
	Spinlock &operator=(const Spinlock &) = delete;
	~Spinlock() { shim_spinlock_destroy(&raw_); }

	class [[nodiscard]] Guard
	{
	public:
		explicit Guard(Spinlock &lock) : lock_(lock), flags_(shim_spinlock_lock(&lock.raw_))
		{
		}
		Guard(const Guard &) = delete;
		Guard &operator=(const Guard &) = delete;
		~Guard() { shim_spinlock_unlock(&lock_.raw_, flags_); }

	private:
		Spinlock &lock_;
		unsigned long flags_;
	};

private:
	shim_spinlock raw_;
};

class Mutex
{
public:
	Mutex(LockRank rank, const char *name)
	{
		shim_mutex_init(&raw_, static_cast<unsigned>(rank), name);
	}
	Mutex(const Mutex &) = delete;
	Mutex &operator=(const Mutex &) = delete;
	~Mutex() { shim_mutex_destroy(&raw_); }

	class [[nodiscard]] Guard
	{
	public:
		explicit Guard(Mutex &mutex) : mutex_(mutex) { shim_mutex_lock(&mutex.raw_); }
		Guard(const Guard &) = delete;
		Guard &operator=(const Guard &) = delete;
		~Guard() { shim_mutex_unlock(&mutex_.raw_); }

	private:
		Mutex &mutex_;
	};

private:
	shim_mutex raw_;
};

template <class T, LockRank rank> class Guarded
{
public:
	template <class... Args>
	explicit Guarded(const char *name, Args &&...args)
		: lock_(rank, name), data_(std::forward<Args>(args)...)
	{
	}

	// Compilers would make a function of it, for its one caller.
	template <class F> [[gnu::always_inline]] auto with(F &&body)
	{
		Spinlock::Guard guard(lock_);
		return body(data_);
	}

	// For an object that nobody else sees yet, or to read what only this thread changes: may
	// sleep.
	template <class F> auto with_unshared(F &&body) { return body(data_); }

private:
	Spinlock lock_;
	T data_;
};

// Where a control path waits for the world. Never used by a submitter for a copy.
class WaitQueue
{
public:
	explicit WaitQueue(const char *name) { shim_waitqueue_init(&raw_, name); }
	WaitQueue(const WaitQueue &) = delete;
	WaitQueue &operator=(const WaitQueue &) = delete;
	~WaitQueue() { shim_waitqueue_destroy(&raw_); }

	void wake_all() { shim_waitqueue_wake_all(&raw_); }

	// Waits until condition() holds. `timeout_ms` 0 means no limit. Gives 0, -ETIMEDOUT, or
	// -EINTR (only if interruptible). condition() runs in this thread and must not sleep.
	template <class F> int wait(F &&condition, u32 timeout_ms, bool interruptible)
	{
		auto thunk = [](void *argument) -> int {
			return (*static_cast<std::remove_reference_t<F> *>(argument))() ? 1 : 0;
		};
		void *argument = const_cast<void *>(static_cast<const void *>(&condition));
		return shim_waitqueue_wait(&raw_, thunk, argument, timeout_ms,
					   interruptible ? 1 : 0);
	}

private:
	shim_waitqueue raw_;
};

} // namespace blksnap
