// SPDX-License-Identifier: GPL-2.0
//
// Fiber: one task of the simulated machine, or one interrupt.
//
// All fibers run on one OS thread; a switch happens only at scheduling points. The fields tell in
// which kernel context the fiber is, so that a port call from a wrong context is found at once.
#pragma once

#include <functional>
#include <vector>
#include <world/random.hpp>

struct bio;

namespace sim
{

struct Stack {
	void *bottom = nullptr;
	std::size_t bytes = 0;
};

enum class Run : u8 { Runnable, Blocked, Done };
enum class Context : u8 { Process, Interrupt };

struct HeldLock {
	const void *lock;
	unsigned rank;
	bool spin;
};

struct Fiber {
	u64 id = 0;
	const char *name = "";
	std::function<void()> body;
	Context context = Context::Process;
	Run run = Run::Runnable;
	u32 weight = 1;
	const char *waits_for = "";
	u64 wait_ticket = 0; // distinguishes one block from the next: a late timer is ignored
	bool timed_out = false;
	bool signalled = false;
	bool admin = true;
	Fiber *next_waiter = nullptr; // on the list of a lock

	u32 rcu_depth = 0;
	u64 rcu_section = 0;
	u32 noio_depth = 0;
	std::vector<HeldLock> held;
	std::vector<bio *> *bio_list = nullptr; // current->bio_list

	Stack stack;
	void *machine = nullptr;    // saved machine context
	void *fake_stack = nullptr; // of AddressSanitizer

	bool atomic() const
	{
		if (context == Context::Interrupt || rcu_depth)
			return true;
		for (const HeldLock &lock : held)
			if (lock.spin)
				return true;
		return false;
	}
};

// Machine contexts. `fiber_start` prepares a pooled stack; `fiber_resume` runs the fiber until it
// calls fiber_suspend() or its body returns.
void fiber_start(Fiber &fiber);
void fiber_resume(Fiber &fiber);
void fiber_suspend(Fiber &fiber);
void fiber_release(Fiber &fiber);

} // namespace sim
