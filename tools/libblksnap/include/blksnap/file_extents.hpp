// SPDX-License-Identifier: GPL-2.0
//
// File extents: where on its device a file lies.
//
// The module uses a file as diff storage by writing to its sectors below the file system. That is
// safe only while the file system keeps the blocks there and nobody else has them: the file must
// not be truncated, moved or deleted while the snapshot is held.
#ifndef BLKSNAP_FILE_EXTENTS_HPP
#define BLKSNAP_FILE_EXTENTS_HPP

#include <blksnap/device.hpp>
#include <blksnap/sector_range.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace blksnap
{

enum class ExtentUse {
	Storage,       // will be overwritten: of this file alone, and the whole of it is allocated
	SparseStorage, // the same, but there may be holes; they are left out, ENODATA if all is one
	Marking,       // sectors are only named
};

struct FileExtents {
	Device device;			 // that the file system lies on
	std::vector<SectorRange> ranges; // rising and merged
	std::uint64_t size_sectors = 0;	 // of the file, holes included
};

// One extent as the file system reports it.
struct Extent {
	std::uint64_t logical_bytes = 0;
	std::uint64_t physical_bytes = 0;
	std::uint64_t length_bytes = 0;
	std::uint32_t flags = 0; // FIEMAP_EXTENT_*
};

// The sectors of @extents up to @size_bytes of the file: blocks after the end may be taken away by
// the file system. Throws Error if one extent cannot be used that way, or with ENODATA if some are
// missing: a hole is no storage, and who gives a file counts on its whole size.
std::vector<SectorRange> ranges_of(const std::string &path, std::span<const Extent> extents,
				   std::uint64_t size_bytes, ExtentUse use);

// Writes the file's data out and finds its sectors. Throws Error if the file system spreads files
// over devices, moves blocks, or reports extents that cannot be used that way.
FileExtents find_file_extents(const std::string &path, ExtentUse use);

} // namespace blksnap

#endif
