// SPDX-License-Identifier: GPL-2.0
//
// Snapshots: images of several devices at one instant.
//
// These functions work on a snapshot by its id, whoever made it. SnapshotSession owns one.
#ifndef BLKSNAP_SNAPSHOT_HPP
#define BLKSNAP_SNAPSHOT_HPP

#include <blksnap/control.hpp>
#include <blksnap/device.hpp>
#include <blksnap/sector_range.hpp>
#include <blksnap/uuid.hpp>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace blksnap
{

struct Image {
	DeviceId original;
	DeviceId image;

	// The image's path: its name has the number that is its minor.
	std::string path() const;
};

// Tracks the devices and names a new snapshot of them, not yet taken.
Uuid create_snapshot(const Control &control, std::span<const Device> devices);

// Gives sectors of @storage to the snapshot for what it has to keep. All or none of the ranges.
void append_storage(const Control &control, const Uuid &snapshot, const Device &storage,
		    std::span<const SectorRange> ranges);

// The cut.
void take_snapshot(const Control &control, const Uuid &snapshot);

// When it returns, images are gone, and devices and storage are released.
void destroy_snapshot(const Control &control, const Uuid &snapshot);

std::vector<Uuid> collect_snapshots(const Control &control);

// Return: nothing if the snapshot is not taken yet.
std::optional<std::vector<Image>> collect_images(const Control &control, const Uuid &snapshot);

// The image of one device. Throws Error if the snapshot is not taken or has no such device.
Image find_image(const Control &control, const Uuid &snapshot, const Device &original);

} // namespace blksnap

#endif
