// SPDX-License-Identifier: GPL-2.0
//
// CopyTable: the copies of a diff area that are not in the store yet, found by block number.
//
// Hashed by region; the few copies of a bucket are walked. Externally locked.
#pragma once

#include <blksnap/core/copy.hpp>

namespace blksnap
{

class CopyTable
{
public:
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
	template <class F> void for_each(F &&body)
	{
		for (auto &bucket : buckets_)
			for (Copy &copy : bucket)
				body(copy);
	}

private:
	using Bucket = IntrusiveList<Copy, &Copy::table_hook>;
	static constexpr u32 kBuckets = 256;
	static constexpr u32 kGapRegions = 8;

	Bucket &bucket(u64 block) { return buckets_[index(block)]; }
	const Bucket &bucket(u64 block) const { return buckets_[index(block)]; }
	static u32 index(u64 block)
	{
		const u64 region = block / Copy::kRegionBlocks;
		return static_cast<u32>((region ^ region >> 8 ^ region >> 16) % kBuckets);
	}

	Bucket buckets_[kBuckets];
	u32 count_ = 0;
};

} // namespace blksnap
