// SPDX-License-Identifier: GPL-2.0
//
// Trackers: what the module remembers about the changes of original devices.
#ifndef BLKSNAP_TRACKER_HPP
#define BLKSNAP_TRACKER_HPP

#include <blksnap/control.hpp>
#include <blksnap/device.hpp>
#include <blksnap/sector_range.hpp>
#include <blksnap/uuid.hpp>

#include <optional>
#include <span>
#include <vector>

namespace blksnap
{

struct TrackerInfo {
	DeviceId device;
	std::uint32_t block_size_bytes = 0;
	std::uint64_t capacity_bytes = 0;
	std::uint32_t block_count = 0;
	Uuid generation;		  // numbers compare only within one generation
	std::uint8_t snapshot_number = 0; // of the last snapshot taken
};

std::vector<TrackerInfo> collect_trackers(const Control &control);

std::optional<TrackerInfo> find_tracker(const Control &control, const DeviceId &device);

void remove_tracker(const Control &control, const Device &device);

// Has the ranges of an original device, or of an image, reported as changed. All or none of them.
void mark_dirty(const Control &control, const Device &device, std::span<const SectorRange> ranges);

} // namespace blksnap

#endif
