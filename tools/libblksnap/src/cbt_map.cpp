// SPDX-License-Identifier: GPL-2.0
//
// CbtMap: reading it, and turning bytes into ranges.
#include <blksnap/cbt_map.hpp>

#include "abi.hpp"

#include <blksnap/error.hpp>

#include <array>
#include <cerrno>

namespace blksnap
{

namespace
{

constexpr std::string_view kWhat = "cannot read the CBT map of";
constexpr std::string_view kWhatChanged = "cannot tell the changes of";
constexpr std::string_view kCopyAll = "copy the whole device";
constexpr std::size_t kPieceBytes = 1 << 20;

constexpr std::array kReadFailures{
	KnownFailure{EPERM, "no taken snapshot holds the device, or permission is missing",
		     "take a snapshot first, with blksnap snapshot_take, and run it as root"},
	KnownFailure{ENODATA, "the device is not tracked",
		     "create a snapshot of it first, with blksnap snapshot_create"},
};

TrackerInfo tracker_of(const Control &control, const Device &device)
{
	if (const auto tracker = find_tracker(control, device.id))
		return *tracker;
	fail(ENODATA, kWhat, device.name, kReadFailures);
}

// Return: the number of bytes read, 0 at the end of the map.
std::size_t read_piece(const Control &control, const Device &device, std::size_t offset,
		       std::span<std::uint8_t> room)
{
	blk_snap_tracker_read_cbt_bitmap argument{.dev_id = abi::from(device.id),
						  .offset = static_cast<__u32>(offset),
						  .length = static_cast<__u32>(room.size()),
						  .buff = room.data()};
	const int result = control.request(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &argument);
	if (result < 0)
		fail(-result, kWhat, device.name, kReadFailures);
	return std::min<std::size_t>(result, room.size());
}

std::vector<std::uint8_t> read_blocks(const Control &control, const Device &device)
{
	std::vector<std::uint8_t> blocks;
	for (;;) {
		const auto offset = blocks.size();
		blocks.resize(offset + kPieceBytes);
		const auto got =
			read_piece(control, device, offset, std::span{blocks}.subspan(offset));
		blocks.resize(offset + got);
		if (got == 0)
			return blocks;
	}
}

} // namespace

CbtMap CbtMap::read(const Control &control, const Device &device)
{
	CbtMap map{.tracker = tracker_of(control, device), .blocks = read_blocks(control, device)};
	// The pieces must be of one map, and what is told about it of that one.
	const auto after = tracker_of(control, device);
	if (after.generation != map.tracker.generation ||
	    after.snapshot_number != map.tracker.snapshot_number)
		throw Error{EAGAIN, kWhat, device.name,
			    "another snapshot of it was taken, or its own ended, meanwhile",
			    "read it again while the snapshot is held"};
	if (map.blocks.size() != map.tracker.block_count)
		throw Error{EIO, kWhat, device.name,
			    "it has " + std::to_string(map.blocks.size()) + " blocks instead of " +
				    std::to_string(map.tracker.block_count),
			    "the device was resized meanwhile: make a full backup"};
	return map;
}

std::vector<SectorRange> CbtMap::changed_since(const Uuid &generation, std::uint8_t number) const
{
	if (generation != tracker.generation)
		throw Error{ESTALE, kWhatChanged, device_name(tracker.device),
			    "the map began anew since generation " + generation.to_string() +
				    ", it is of " + tracker.generation.to_string() + " now",
			    kCopyAll};
	return changed_since(number);
}

std::vector<SectorRange> CbtMap::changed_since(std::uint8_t number) const
{
	if (number > tracker.snapshot_number)
		throw Error{ESTALE, kWhatChanged, device_name(tracker.device),
			    "number " + std::to_string(number) +
				    " is of another generation, this one is at number " +
				    std::to_string(tracker.snapshot_number),
			    kCopyAll};
	const auto block_sectors = tracker.block_size_bytes / kSectorSizeBytes;
	const auto capacity_sectors = tracker.capacity_bytes / kSectorSizeBytes;
	std::vector<SectorRange> ranges;
	for (std::size_t block = 0; block < blocks.size(); block++) {
		const auto offset = block * block_sectors;
		if (blocks[block] <= number || offset >= capacity_sectors)
			continue;
		const auto count = std::min(block_sectors, capacity_sectors - offset);
		if (!ranges.empty() && ranges.back().end_sectors() == offset)
			ranges.back().count_sectors += count;
		else
			ranges.push_back({offset, count});
	}
	return ranges;
}

} // namespace blksnap
