// SPDX-License-Identifier: GPL-2.0
//
// heap_sort(): in place, no recursion, and no input makes it slow.
#pragma once

#include <blksnap/base/types.hpp>

namespace blksnap
{

// Lets the item at `root` sink to its place in the heap of the first `count` items.
template <class T, class Before> void sift_down(T *items, u32 root, u32 count, Before &before)
{
	for (u32 child; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count && before(items[child], items[child + 1]))
			child++;
		if (!before(items[root], items[child]))
			return;
		std::swap(items[root], items[child]);
	}
}

// Puts items in an order in which before(later, earlier) never holds.
template <class T, class Before> void heap_sort(T *items, u32 count, Before before)
{
	for (u32 root = count / 2; root > 0; root--)
		sift_down(items, root - 1, count, before);
	for (u32 last = count; last > 1; last--) {
		std::swap(items[0], items[last - 1]);
		sift_down(items, 0, last - 1, before);
	}
}

} // namespace blksnap
