// SPDX-License-Identifier: GPL-2.0
//
// Trackers: list, remove, mark.
#include <blksnap/tracker.hpp>

#include "abi.hpp"

#include <blksnap/error.hpp>

#include <array>
#include <cerrno>

namespace blksnap
{

namespace
{

constexpr std::array kRemoveFailures{
	KnownFailure{EBUSY, "a snapshot holds the device",
		     "destroy the snapshot first, with blksnap snapshot_destroy"},
	KnownFailure{ENODATA, "the device is not tracked",
		     "list the tracked ones with blksnap tracker_collect"},
};

constexpr std::array kMarkFailures{
	KnownFailure{ENODEV, "the device is not tracked",
		     "create a snapshot of it first, with blksnap snapshot_create"},
	KnownFailure{EINVAL, "a range leaves the device",
		     "give ranges of 512-byte sectors within its size, see lsblk --bytes"},
};

TrackerInfo from_abi(const blk_snap_cbt_info &info)
{
	return {.device = abi::to_device(info.dev_id),
		.block_size_bytes = info.blk_size,
		.capacity_bytes = info.device_capacity,
		.block_count = info.blk_count,
		.generation = abi::to_uuid(info.generation_id),
		.snapshot_number = info.snap_number};
}

} // namespace

std::vector<TrackerInfo> collect_trackers(const Control &control)
{
	int result = 0;
	const auto infos = abi::collect<blk_snap_cbt_info>(
		[&](blk_snap_cbt_info *array, __u32 &count) {
			blk_snap_tracker_collect argument{.count = count, .cbt_info_array = array};
			const int answer =
				control.request(IOCTL_BLK_SNAP_TRACKER_COLLECT, &argument);
			count = argument.count;
			return answer;
		},
		ENOBUFS, result);
	if (result < 0)
		fail(-result, "cannot list", "the trackers");

	std::vector<TrackerInfo> trackers;
	trackers.reserve(infos.size());
	for (const auto &info : infos)
		trackers.push_back(from_abi(info));
	return trackers;
}

std::optional<TrackerInfo> find_tracker(const Control &control, const DeviceId &device)
{
	for (const auto &tracker : collect_trackers(control))
		if (tracker.device == device)
			return tracker;
	return std::nullopt;
}

void remove_tracker(const Control &control, const Device &device)
{
	blk_snap_tracker_remove argument{.dev_id = abi::from(device.id)};
	const int result = control.request(IOCTL_BLK_SNAP_TRACKER_REMOVE, &argument);
	if (result < 0)
		fail(-result, "cannot remove the tracker of", device.name, kRemoveFailures);
}

void mark_dirty(const Control &control, const Device &device, std::span<const SectorRange> ranges)
{
	auto blocks = abi::from(ranges);
	blk_snap_tracker_mark_dirty_blocks argument{.dev_id = abi::from(device.id),
						    .count = static_cast<__u32>(blocks.size()),
						    .dirty_blocks_array = blocks.data()};
	const int result = control.request(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &argument);
	if (result < 0)
		fail(-result, "cannot mark blocks of", device.name, kMarkFailures);
}

} // namespace blksnap
