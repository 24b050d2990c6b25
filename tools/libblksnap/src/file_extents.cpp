// SPDX-License-Identifier: GPL-2.0
//
// File extents: deciding which extents are raw sectors of a device.
#include <blksnap/file_extents.hpp>

#include <blksnap/error.hpp>

#include <linux/fiemap.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace blksnap
{

namespace
{

struct Obstacle {
	std::uint32_t flag;
	std::string_view why;
	std::string_view remedy;
};

constexpr std::string_view kWhat = "cannot use the sectors of file";
constexpr std::string_view kAllocate = "allocate the file in full with fallocate";

// Unwritten extents are fine: the file system has reserved their sectors and writes nothing there.
constexpr std::array kNeverRaw{
	Obstacle{FIEMAP_EXTENT_DELALLOC, "a part has no place on the device yet", kAllocate},
	Obstacle{FIEMAP_EXTENT_DATA_INLINE, "a part lies inside metadata", "use a larger file"},
	Obstacle{FIEMAP_EXTENT_DATA_TAIL, "a part shares its block with another file",
		 "use a file whose size is a multiple of the block size"},
	Obstacle{FIEMAP_EXTENT_DATA_ENCRYPTED, "it is encrypted by the file system",
		 "use a file in a directory without encryption"},
	Obstacle{FIEMAP_EXTENT_ENCODED, "it is compressed or encrypted by the file system",
		 "use a file without compression and encryption"},
	Obstacle{FIEMAP_EXTENT_UNKNOWN, "the file system does not tell where a part lies",
		 kAllocate},
	Obstacle{FIEMAP_EXTENT_NOT_ALIGNED, "a part is not aligned to sectors",
		 "use a file on a file system with whole blocks"},
};

constexpr Obstacle kShared{FIEMAP_EXTENT_SHARED, "it shares blocks with another file",
			   "use a file that is no reflink copy"};

void refuse(const std::string &path, const Obstacle &obstacle)
{
	throw Error{EOPNOTSUPP, kWhat, path, obstacle.why, obstacle.remedy};
}

void check(const std::string &path, const Extent &extent, ExtentUse use)
{
	for (const auto &obstacle : kNeverRaw)
		if (extent.flags & obstacle.flag)
			refuse(path, obstacle);
	if (use != ExtentUse::Marking && (extent.flags & kShared.flag))
		refuse(path, kShared);
	if (extent.physical_bytes % kSectorSizeBytes != 0)
		refuse(path, {0, "a part is not aligned to sectors",
			      "use a file on a file system with whole blocks"});
}

void check_holes(const std::string &path, std::uint64_t found_sectors, std::uint64_t size_sectors,
		 ExtentUse use)
{
	if (use == ExtentUse::Marking)
		return;
	if (found_sectors == 0)
		throw Error{ENODATA, kWhat, path, "no sector of it is allocated", kAllocate};
	if (use == ExtentUse::Storage && found_sectors < size_sectors)
		throw Error{ENODATA, kWhat, path,
			    "only " + std::to_string(found_sectors) + " of its " +
				    std::to_string(size_sectors) + " sectors are allocated",
			    kAllocate};
}

} // namespace

std::vector<SectorRange> ranges_of(const std::string &path, std::span<const Extent> extents,
				   std::uint64_t size_bytes, ExtentUse use)
{
	std::vector<SectorRange> ranges;
	for (const auto &extent : extents) {
		check(path, extent, use);
		if (extent.logical_bytes >= size_bytes)
			continue;
		const auto length =
			std::min(extent.length_bytes, size_bytes - extent.logical_bytes);
		// Storage takes whole sectors only, a mark covers the last one that is begun.
		const auto slack = use == ExtentUse::Marking ? kSectorSizeBytes - 1 : 0;
		ranges.push_back({extent.physical_bytes / kSectorSizeBytes,
				  (length + slack) / kSectorSizeBytes});
	}
	ranges = merged(std::move(ranges));
	check_holes(path, total_sectors(ranges), size_bytes / kSectorSizeBytes, use);
	return ranges;
}

} // namespace blksnap
