// SPDX-License-Identifier: GPL-2.0
//
// The world as unit tests see it: the ports on top of pthreads, with counters and faults.
//
// The fake also checks what a kernel would: ranks of locks, no sleeping under a spinlock, sizes.
#pragma once

#include <functional>

#include <blksnap/base/memory.hpp>
#include <blksnap/port/bio.h>

namespace blksnap
{
class DiffArea;
}

namespace fake
{

// One of a few bios that only know how to be in a list.
struct ::bio *bio(unsigned number);
// Allocations of all kinds that were not freed yet.
long live_allocations();
// The n-th allocation from now on fails, once; 0: none does.
void fail_allocation(long n);
// True if the fault set last has not fired.
bool fault_is_armed();
unsigned long grace_periods();
// As if a signal came for every thread that waits interruptibly, until it is cleared.
void set_signal(bool pending);
// Is called before and after each atomic operation of the core on this thread; null: nothing is.
void set_atomic_hook(std::function<void()> hook);
// For types that hold a reference to an area and never look at it.
blksnap::DiffArea &no_area();

// Fails the 1st, 2nd, ... allocation of `attempt` until it runs without meeting a fault.
// `attempt` gets the number and must leave nothing behind, whether it succeeded or not.
template <class F> long walk_allocation_failures(F &&attempt)
{
	for (long n = 1;; n++) {
		fail_allocation(n);
		attempt(n);
		const bool done = fault_is_armed();
		fail_allocation(0);
		if (done)
			return n - 1;
	}
}

} // namespace fake
