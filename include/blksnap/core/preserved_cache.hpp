// SPDX-License-Identifier: GPL-2.0
//
// PreservedCache: a hint which blocks are preserved, read without a lock.
//
// Once a block is preserved it stays so while its area lives; so a bit that is set is true for
// ever, and one that is missing costs a lookup under the lock. Direct mapped: an entry holds the
// bits of one group of 32 adjacent blocks; another group of the same index replaces it.
//
// The memory is fixed: 8 bytes for 128 KiB of the device, and at most 128 KiB, which covers the 2 GiB
// that were written last if they are dense.
#pragma once

#include <blksnap/base/memory.hpp>

namespace blksnap
{

class PreservedCache
{
public:
	PreservedCache() = default;
	PreservedCache(const PreservedCache &) = delete;
	PreservedCache &operator=(const PreservedCache &) = delete;
	~PreservedCache() { shim_memory_free_large(entries_); }

	// Context: process.
	Result<void> init(u64 device_blocks)
	{
		u64 entries = 1;

		while (entries < kMaxEntries && entries * kGroupBlocks < device_blocks)
			entries *= 2;
		// An entry has room for 32 bits of a group's number: what is larger than 512 TiB goes
		// without.
		usable_ = device_blocks / kGroupBlocks < ~u32{0};
		last_index_ = entries - 1;
		entries_ = static_cast<Atomic<u64> *>(
			shim_memory_alloc_large(entries * sizeof(*entries_)));
		return entries_ ? Result<void>() : Errno::NoMem;
	}

	// Whether all blocks of [block, end) are known to be preserved. What the caller does next is
	// ordered behind their preservation. Context: any.
	bool knows(u64 block, u64 end) const
	{
		if (end - block == 1) { // the same as below, in half as many instructions
			const u64 group = block / kGroupBlocks;
			const u64 entry = entries_[group & last_index_].load(Order::Acquire);
			return entry >> 32 == group && (entry >> block % kGroupBlocks & 1);
		}
		return known_until(block, end) == end;
	}
	// How far all blocks from `block` on are known, in whole groups: `end` at most. Likewise.
	u64 known_until(u64 block, u64 end) const
	{
		while (block < end) {
			const u64 group = block / kGroupBlocks;
			const u64 next = min(end, (group + 1) * kGroupBlocks);
			const u64 wanted = group << 32 | mask(block, next);
			const u64 entry = entries_[group & last_index_].load(Order::Acquire);
			if ((entry ^ wanted) & (kTag | wanted))
				return block;
			block = next;
		}
		return end;
	}

	// All blocks of [block, end) are preserved. Externally serialised. Context: any.
	void add(u64 block, u64 end)
	{
		while (usable_ && block < end) {
			const u64 group = block / kGroupBlocks;
			const u64 next = min(end, (group + 1) * kGroupBlocks);
			auto &place = entries_[group & last_index_];
			const u64 old = place.load(Order::Relaxed);
			const u64 kept = old >> 32 == group ? old : group << 32;
			place.store(kept | mask(block, next), Order::Release);
			block = next;
		}
	}

private:
	static constexpr u64 kGroupBlocks = 32;
	static constexpr u64 kMaxEntries = 1u << 14;
	static constexpr u64 kTag = ~u64{0} << 32;

	// The bits of [block, next), which lies in one group.
	static u64 mask(u64 block, u64 next)
	{
		return ((u64{1} << (next - block)) - 1) << block % kGroupBlocks;
	}

	Atomic<u64> *entries_ = nullptr;
	u64 last_index_ = 0;
	bool usable_ = false;
};

} // namespace blksnap
