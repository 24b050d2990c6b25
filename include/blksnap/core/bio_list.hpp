// SPDX-License-Identifier: GPL-2.0
//
// BioList: bios that the core holds, first in first out, linked through the bios themselves.
//
// Holding a bio needs no memory of ours; that is why parking can never fail.
#pragma once

#include <blksnap/base/types.hpp>
#include <blksnap/port/bio.h>

namespace blksnap
{

class BioList
{
public:
	BioList() = default;
	BioList(BioList &&other)
		: head_(std::exchange(other.head_, nullptr)),
		  tail_(std::exchange(other.tail_, nullptr))
	{
	}
	BioList &operator=(BioList &&) = delete;
	~BioList() { ASSERT(empty()); }

	bool empty() const { return !head_; }
	void push_back(bio *item)
	{
		shim_bio_set_next(item, nullptr);
		if (head_)
			shim_bio_set_next(tail_, item);
		else
			head_ = item;
		tail_ = item;
	}
	bio *pop_front()
	{
		bio *item = head_;
		if (item) {
			head_ = shim_bio_next(item);
			shim_bio_set_next(item, nullptr);
		}
		return item;
	}
	// Moves all of `other` behind ours.
	void splice_back(BioList &other)
	{
		if (other.empty())
			return;
		if (head_)
			shim_bio_set_next(tail_, other.head_);
		else
			head_ = other.head_;
		tail_ = other.tail_;
		other.head_ = nullptr;
	}

private:
	bio *head_ = nullptr;
	bio *tail_ = nullptr; // valid only while head_ is set
};

} // namespace blksnap
