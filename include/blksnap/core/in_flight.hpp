// SPDX-License-Identifier: GPL-2.0
//
// InFlight: how many writes of a disk are between hook and completion, counted per CPU.
//
// A write counts in the slot of the CPU where it entered and uncounts in the same slot, so no
// slot is ever negative and each can be read on its own: after the gate is closed, a slot seen
// at zero holds no admitted write any more. No grace period is needed (a percpu_ref would wait
// for one under the closed gate).
//
// The pairing, as in a store buffer test: a writer counts, then looks at the gate; the taker
// closes the gate, then looks at the counts. Both use full barriers, so one of them sees the
// other.
#pragma once

#include <blksnap/base/memory.hpp>
#include <blksnap/port/lock.h>

namespace blksnap
{

class InFlight
{
public:
	struct Slot {
		Atomic<u32> writes;
		u32 padding[15]; // a cache line each
	};

	InFlight() = default;
	InFlight(const InFlight &) = delete;
	InFlight &operator=(const InFlight &) = delete;
	~InFlight() { shim_memory_free_large(slots_); }

	Result<void> init()
	{
		count_ = shim_cpu_count();
		slots_ = static_cast<Slot *>(shim_memory_alloc_large(count_ * sizeof(Slot)));
		return slots_ ? Result<void>() : Errno::NoMem;
	}
	Slot &enter()
	{
		Slot &slot = slots_[shim_cpu_current()];
		slot.writes.fetch_add(1, Order::SeqCst);
		return slot;
	}
	static void leave(Slot &slot) { slot.writes.fetch_sub(1, Order::SeqCst); }
	bool idle() const
	{
		for (unsigned i = 0; i < count_; i++)
			if (slots_[i].writes.load(Order::SeqCst))
				return false;
		return true;
	}

private:
	Slot *slots_ = nullptr;
	unsigned count_ = 0;
};

} // namespace blksnap
