// SPDX-License-Identifier: GPL-2.0
//
// CopyTable: the copies of a diff area that are not in the store yet, found by block number.
//
// Hashed by region; the few copies of a bucket are walked, with interrupts off: there are as many buckets
// as the number of copies asks for. Externally locked.
#pragma once

#include <blksnap/core/copy.hpp>

namespace blksnap
{

class CopyTable
{
public:
	CopyTable() = default;
	CopyTable(const CopyTable &) = delete;
	CopyTable &operator=(const CopyTable &) = delete;
	~CopyTable()
	{
		ASSERT(empty());
		shim_memory_free_large(buckets_);
	}

	// For so many copies; more only take longer. Context: process.
	Result<void> init(u32 copies)
	{
		const u32 wanted = min(copies / kCopiesPerBucket, kMostBuckets);
		u32 count = kFewestBuckets;

		while (count < wanted)
			count *= 2;
		void *memory = shim_memory_alloc_large(count * sizeof(Bucket));
		if (!memory)
			return Errno::NoMem;
		buckets_ = static_cast<Bucket *>(memory);
		for (u32 i = 0; i < count; i++)
			new (&buckets_[i]) Bucket;
		last_index_ = count - 1;
		return {};
	}
	bool empty() const { return count_ == 0; }

	Copy *find(u64 block) const
	{
		if (empty())
			return nullptr;
		for (Copy &copy : bucket(block))
			if (block >= copy.first && block < copy.end())
				return &copy;
		return nullptr;
	}
	// How many blocks from `block` on are free of copies, one that covers it left out: at most `limit`, and
	// no more than a few regions if there are copies.
	u64 gap(u64 block, u64 limit) const
	{
		const u64 end = block + limit;
		u64 at = block;

		if (empty())
			return limit;
		for (u32 i = 0; i < kGapRegions && at < end; i++) {
			const u64 next =
				min(end, (at / Copy::kRegionBlocks + 1) * Copy::kRegionBlocks);
			u64 first = next;
			for (Copy &copy : bucket(at))
				if (copy.first > block && copy.first >= at && copy.first < first)
					first = copy.first;
			if (first < next)
				return first - block;
			at = next;
		}
		return at - block;
	}
	void insert(Copy &copy)
	{
		bucket(copy.first).push_back(copy);
		count_++;
	}
	void remove(Copy &copy)
	{
		bucket(copy.first).remove(copy);
		count_--;
	}
	// How many copies a look-up of this block walks past, at most.
	u32 chain(u64 block) const
	{
		u32 copies = 0;

		for ([[maybe_unused]] Copy &copy : bucket(block))
			copies++;
		return copies;
	}

private:
	using Bucket = IntrusiveList<Copy, &Copy::table_hook>;
	static constexpr u32 kCopiesPerBucket = 8;
	static constexpr u32 kFewestBuckets = 256;
	static constexpr u32 kMostBuckets = 1u << 21; // 32 MiB, for the 64 GiB of the highest limit
	static constexpr u32 kGapRegions = 8;

	Bucket &bucket(u64 block) { return buckets_[index(block)]; }
	const Bucket &bucket(u64 block) const { return buckets_[index(block)]; }
	u32 index(u64 block) const
	{
		const u64 region = block / Copy::kRegionBlocks;
		return static_cast<u32>(region ^ region >> 8 ^ region >> 16) & last_index_;
	}

	Bucket *buckets_ = nullptr;
	u32 last_index_ = 0;
	u32 count_ = 0;
};

} // namespace blksnap
