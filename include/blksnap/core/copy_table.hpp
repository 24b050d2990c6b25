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
		for (Copy &copy : bucket(block))
			if (block >= copy.first && block < copy.end())
				return &copy;
		return nullptr;
	}
	// How many blocks from `block`, which no copy covers, are free of copies: at most `limit`
	// and not beyond the end of the region.
	u64 gap(u64 block, u64 limit) const
	{
		const u64 region_end = (block / Copy::kRegionBlocks + 1) * Copy::kRegionBlocks;
		u64 end = min(block + limit, region_end);

		for (Copy &copy : bucket(block))
			if (copy.first > block && copy.first < end)
				end = copy.first;
		return end - block;
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
