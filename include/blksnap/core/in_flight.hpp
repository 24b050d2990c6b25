// SPDX-License-Identifier: GPL-2.0
//
// InFlight: how many requests of a device are between their coming and their completion, counted per
// CPU: writes of a tracked disk, reads of an image.
//
// In the words of a disk: a write counts in the slot of the CPU where it entered and uncounts in the same slot, so no
// slot is ever negative and each can be read on its own: after the gate is closed, a slot seen
// at zero holds no admitted write any more, but for parts of chains that are still let in, which Disk::wait_idle()
// excludes before it believes what it has seen. No grace period is needed (a percpu_ref would wait
// for one under the closed gate).
//
// A slot also keeps a few free records: the next write of this CPU takes one without going to the
// allocator, and whoever completes it puts it back here. Each place is taken and filled by one
// exchange, so interrupts and migration do no harm.
//
// The pairing, as in a store buffer test: a writer counts, then looks at the gate; the taker
// closes the gate, then looks at the counts. Both use full barriers, so one of them sees the
// other.
#pragma once

#include <blksnap/base/memory.hpp>
#include <blksnap/port/lock.h>

namespace blksnap
{

template <class Record> class InFlight
{
public:
	struct Slot { // two cache lines each
		static constexpr u32 kKept = 15;

		Atomic<u32> requests;
		Atomic<Record *> kept[kKept];

		// Null: none is kept. Context: any.
		Record *take_record();
		// Null, or the record that found no place. Context: any.
		Record *keep_record(Record *record);
	};

	static_assert(sizeof(Slot) == 128);

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
		slot.requests.fetch_add(1, Order::SeqCst);
		return slot;
	}
	// What is kept, at the end. Null: nothing is left. Context: nobody enters any more.
	Record *take_kept()
	{
		Record *record = nullptr;
		for (unsigned i = 0; slots_ && i < count_ && !record; i++)
			record = slots_[i].take_record();
		return record;
	}
	static void leave(Slot &slot) { slot.requests.fetch_sub(1, Order::SeqCst); }
	bool idle() const
	{
		for (unsigned i = 0; i < count_; i++)
			if (slots_[i].requests.load(Order::SeqCst))
				return false;
		return true;
	}

private:
	Slot *slots_ = nullptr;
	unsigned count_ = 0;
};

template <class Record> Record *InFlight<Record>::Slot::take_record()
{
	for (u32 i = 0; i < kKept; i++)
		if (kept[i].load(Order::Relaxed))
			if (Record *record = kept[i].exchange(nullptr, Order::Acquire))
				return record;
	return nullptr;
}

template <class Record> Record *InFlight<Record>::Slot::keep_record(Record *record)
{
	for (u32 i = 0; i < kKept; i++) {
		// Another may fill the place between look and exchange: then its record moves on.
		if (!kept[i].load(Order::Relaxed))
			record = kept[i].exchange(record, Order::AcqRel);
		if (!record)
			return nullptr;
	}
	return record;
}

} // namespace blksnap
