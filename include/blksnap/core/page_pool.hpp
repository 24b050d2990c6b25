// SPDX-License-Identifier: GPL-2.0
//
// PagePool: the pages into which old content is copied, for one diff area.
//
// A reserve is filled when the snapshot is taken and guarantees progress; above it, pages come
// from the allocator without waiting, up to a limit; they go back when the copy is stored, so a
// quiet snapshot holds the reserve only. Externally locked.
#pragma once

#include <blksnap/base/vector.hpp>

namespace blksnap
{

// Image writes must not starve the copies for origin writes: they have a small budget of their
// own and never touch the reserve.
enum class PageUse { Origin, Image };

class PagePool
{
public:
	static constexpr u32 kImagePages = 64;

	PagePool() = default;
	PagePool(const PagePool &) = delete;
	PagePool &operator=(const PagePool &) = delete;
	~PagePool()
	{
		ASSERT(in_use_ == 0 && image_in_use_ == 0);
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
	page *take(PageUse use)
	{
		if (use == PageUse::Image)
			return take_for_image();
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
	void give(page *page, PageUse use)
	{
		(use == PageUse::Image ? image_in_use_ : in_use_)--;
		if (reserve_.size() < target_)
			reserve_.push_reserved(page);
		else
			shim_page_free(page);
	}

private:
	page *take_for_image()
	{
		if (image_in_use_ >= kImagePages)
			return nullptr;
		page *page = shim_page_alloc(SHIM_GFP_NOWAIT);
		if (page)
			image_in_use_++;
		return page;
	}

	Vector<page *> reserve_;
	u32 target_ = 0;
	u32 limit_ = 0;
	u32 in_use_ = 0;
	u32 image_in_use_ = 0;
};

} // namespace blksnap
