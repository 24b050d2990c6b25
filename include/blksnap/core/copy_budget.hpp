// SPDX-License-Identifier: GPL-2.0
//
// CopyBudget: what copies are made of, and the bios that wait for it.
//
// A diff area has two: origin writes and image writes must not starve each other. Each has a
// reserve, so a budget without copies can always begin one; that is why whoever waits is woken at
// the latest by the last copy that goes. Externally locked.
#pragma once

#include <blksnap/core/copy.hpp>
#include <blksnap/core/page_pool.hpp>

namespace blksnap
{

class CopyBudget
{
public:
	CopyBudget() = default;
	~CopyBudget()
	{
		while (Copy *copy = spares_.pop_front())
			destroy(copy);
	}

	// Context: process.
	Result<void> fill(DiffArea &area, CopyUse use, u32 reserve_pages, u32 limit_pages)
	{
		TRY(pages_.fill(reserve_pages, limit_pages));
		for (u32 i = 0; i < kSpareCopies; i++) {
			Copy *copy = Copy::create(area, use, kSpareBlocks, true, Gfp::Kernel);
			if (!copy)
				return Errno::NoMem;
			spares_.push_back(*copy);
		}
		return {};
	}

	// A copy of up to `blocks` blocks, as far as the pages reach; null if there is not even one.
	Copy *begin(DiffArea &area, CopyUse use, u64 first, u32 blocks)
	{
		Copy *copy = Copy::create(area, use, blocks, false, Gfp::NoWait);
		if (!copy)
			copy = spares_.pop_front();
		if (!copy)
			return nullptr;
		copy->first = first;
		copy->blocks = 0;
		copy->state = Copy::State::Queued;
		copy->nowait = false;
		while (copy->blocks < min(blocks, copy->capacity)) {
			page *page = pages_.take();
			if (!page)
				break;
			copy->pages[copy->blocks++] = page;
		}
		if (copy->blocks == 0) {
			put(*copy);
			return nullptr;
		}
		copies_++;
		return copy;
	}
	// The copy is gone; its pages may be enough for some of those who wait. A woken bio may turn
	// out to need none: then it passes the wake on, see pass_on().
	void end(Copy &copy, BioList &woken)
	{
		const u32 pages = copy.blocks;

		for (u32 i = 0; i < pages; i++)
			pages_.give(copy.pages[i]);
		put(copy);
		for (u32 i = 0; i < pages && !starved_.empty(); i++)
			woken.push_back(starved_.pop_front());
		if (--copies_ == 0)
			woken.splice_back(starved_);
	}
	void wait(bio *bio) { starved_.push_back(bio); }
	bool has_waiters() const { return !starved_.empty(); }
	void pass_on(BioList &woken)
	{
		if (!starved_.empty() && pages_.may_give())
			woken.push_back(starved_.pop_front());
	}
	void wake_all(BioList &woken) { woken.splice_back(starved_); }

private:
	static constexpr u32 kSpareCopies = 16;
	static constexpr u32 kSpareBlocks = 16;

	void put(Copy &copy)
	{
		if (copy.spare)
			spares_.push_back(copy);
		else
			destroy(&copy);
	}

	PagePool pages_;
	CopyQueue spares_;
	BioList starved_;
	u32 copies_ = 0;
};

} // namespace blksnap
