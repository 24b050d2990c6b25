// SPDX-License-Identifier: GPL-2.0
//
// Atomic<T>: the compiler's atomics under names of the C++ memory model.
//
// The kernel's own model and this one agree on x86-64 for what is used here: acquire/release
// publication and full barriers (`full_barrier()` is smp_mb()).
#pragma once

#include <blksnap/base/types.hpp>

namespace blksnap
{

enum class Order : int {
	Relaxed = __ATOMIC_RELAXED,
	Acquire = __ATOMIC_ACQUIRE,
	Release = __ATOMIC_RELEASE,
	AcqRel = __ATOMIC_ACQ_REL,
	SeqCst = __ATOMIC_SEQ_CST,
};

template <class T> class Atomic
{
public:
	constexpr Atomic() = default;
	constexpr explicit Atomic(T value) : value_(value) {}
	Atomic(const Atomic &) = delete;
	Atomic &operator=(const Atomic &) = delete;

	T load(Order order) const { return __atomic_load_n(&value_, static_cast<int>(order)); }
	void store(T value, Order order)
	{
		__atomic_store_n(&value_, value, static_cast<int>(order));
	}
	T exchange(T value, Order order)
	{
		return __atomic_exchange_n(&value_, value, static_cast<int>(order));
	}
	T fetch_add(T value, Order order)
	{
		return __atomic_fetch_add(&value_, value, static_cast<int>(order));
	}
	T fetch_sub(T value, Order order)
	{
		return __atomic_fetch_sub(&value_, value, static_cast<int>(order));
	}

private:
	T value_{};
};

inline void full_barrier()
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

} // namespace blksnap
