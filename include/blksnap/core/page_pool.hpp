// SPDX-License-Identifier: GPL-2.0
//
// PagePool: pages into which old content is copied.
//
// A reserve is filled when the snapshot is taken and guarantees progress; above it, pages come
// from the allocator without waiting, up to a limit; they go back when the copy is stored, so a
// quiet snapshot holds the reserve only. Externally locked.
#pragma once

#include <blksnap/base/vector.hpp>

namespace blksnap
{

class PagePool
{
public:
	PagePool() = default;
	PagePool(const PagePool &) = delete;
	PagePool &operator=(const PagePool &) = delete;
	~PagePool()
	{
		ASSERT(in_use_ == 0);
		for (page *page : reserve_)
			shim_page_free(page);
	}

	// Context: process.
	Result<void> fill(u32 reserve_pages, u32 limit_pages)
	{
		limit_ = max(limit_pages, reserve_pages);
		target_ = reserve_pages;
		TRY(reserve_.reserve(reserve_pages));
		while (reserve_.size() < reserve_pages) {
			page *page = shim_page_alloc(SHIM_GFP_KERNEL);
			if (!page)
				return Errno::NoMem;
			reserve_.push_reserved(page);
		}
		return {};
	}
	// Whether take() may succeed; without reserve that is up to the allocator.
	bool may_give() const { return !reserve_.empty() || in_use_ < limit_; }
	page *take()
	{
		page *page = nullptr;
		if (!reserve_.empty()) {
			page = reserve_.back();
			reserve_.remove(reserve_.size() - 1);
		} else if (in_use_ < limit_) {
			page = shim_page_alloc(SHIM_GFP_NOWAIT);
		}
		if (page)
			in_use_++;
		return page;
	}
	void give(page *page)
	{
		in_use_--;
		if (reserve_.size() < target_)
			reserve_.push_reserved(page);
		else
			shim_page_free(page);
	}

private:
	Vector<page *> reserve_;
	u32 target_ = 0;
	u32 limit_ = 0;
	u32 in_use_ = 0;
};

} // namespace blksnap
