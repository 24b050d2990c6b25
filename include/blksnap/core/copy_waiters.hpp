// SPDX-License-Identifier: GPL-2.0
//
// CopyWaiters: the bios that wait for copies, and the copies that are waited for.
//
// There can be millions of copies, but bios only wait for some: when nobody is to wait any more those are
// found without a look at the others, some at a time. Externally locked.
#pragma once

#include <blksnap/core/copy.hpp>

namespace blksnap
{

class CopyWaiters
{
public:
	bool any(CopyUse use) const
	{
		return use == CopyUse::Origin ? !origin_.empty() : !image_.empty();
	}
	void add(Copy &copy, CopyUse use, bio *bio)
	{
		if (use == CopyUse::Origin)
			add(origin_, copy, copy.origin_waiters, bio);
		else
			add(image_, copy, copy.image_waiters, bio);
	}
	void take(Copy &copy, CopyUse use, BioList &out)
	{
		if (use == CopyUse::Origin)
			take(origin_, copy, copy.origin_waiters, out);
		else
			take(image_, copy, copy.image_waiters, out);
	}
	// Those of at most so many copies. Return: whether there are others.
	bool take_some(u32 copies, BioList &origin, BioList &image)
	{
		for (; copies && !origin_.empty(); copies--)
			take(*origin_.front(), CopyUse::Origin, origin);
		for (; copies && !image_.empty(); copies--)
			take(*image_.front(), CopyUse::Image, image);
		return any(CopyUse::Origin) || any(CopyUse::Image);
	}

private:
	// A copy is on a list exactly while bios wait for it.
	template <class List> static void add(List &list, Copy &copy, BioList &waiters, bio *bio)
	{
		if (waiters.empty())
			list.push_back(copy);
		waiters.push_back(bio);
	}
	template <class List>
	static void take(List &list, Copy &copy, BioList &waiters, BioList &out)
	{
		if (waiters.empty())
			return;
		list.remove(copy);
		out.splice_back(waiters);
	}

	IntrusiveList<Copy, &Copy::origin_waited_hook> origin_;
	IntrusiveList<Copy, &Copy::image_waited_hook> image_;
};

} // namespace blksnap
