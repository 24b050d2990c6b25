// SPDX-License-Identifier: GPL-2.0
//
// Between the structures of the interface and the types of the library.
#ifndef BLKSNAP_ABI_HPP
#define BLKSNAP_ABI_HPP

#include <blksnap/device.hpp>
#include <blksnap/sector_range.hpp>
#include <blksnap/uuid.hpp>

#include <blksnap.h>

#include <algorithm>
#include <span>
#include <vector>

namespace blksnap::abi
{

inline blk_snap_dev from(const DeviceId &id)
{
	return {.mj = id.major, .mn = id.minor};
}

inline DeviceId to_device(const blk_snap_dev &device)
{
	return {device.mj, device.mn};
}

inline blk_snap_uuid from(const Uuid &uuid)
{
	blk_snap_uuid result{};
	std::copy(uuid.bytes.begin(), uuid.bytes.end(), result.b);
	return result;
}

inline Uuid to_uuid(const blk_snap_uuid &uuid)
{
	Uuid result;
	std::copy(std::begin(uuid.b), std::end(uuid.b), result.bytes.begin());
	return result;
}

inline std::vector<blk_snap_block_range> from(std::span<const SectorRange> ranges)
{
	std::vector<blk_snap_block_range> result;
	result.reserve(ranges.size());
	for (const auto &range : ranges)
		result.push_back({.sector_offset = range.offset_sectors,
				  .sector_count = range.count_sectors});
	return result;
}

// Asks for a list whose length may change while one asks: first for the count, then for the items,
// and again while the module says that the room was too small.
//
// @ask: takes the array and its length, sets the length; returns 0 or a negative errno
// @too_small: the errno that means too little room
// Return: the items, or a negative errno in @result with no items.
template <typename T, typename Ask> std::vector<T> collect(Ask ask, int too_small, int &result)
{
	__u32 count = 0;
	result = ask(static_cast<T *>(nullptr), count);
	std::vector<T> items;
	while (result == 0 && count != 0) {
		items.assign(count, T{});
		result = ask(items.data(), count);
		if (result == 0) {
			items.resize(std::min<std::size_t>(count, items.size()));
			return items;
		}
		if (result == -too_small)
			result = 0;
	}
	return {};
}

} // namespace blksnap::abi

#endif
