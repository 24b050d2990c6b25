// SPDX-License-Identifier: GPL-2.0
//
// Snapshots and trackers as tests use them, over the calls of tests/helpers/control.hpp.
#pragma once

#include "control.hpp"
#include "disk.hpp"

#include <optional>
#include <string>
#include <vector>

namespace kselftest
{

// Numbers that belong to no driver.
inline constexpr blk_snap_dev kMissingDevice = {240, 77};
inline constexpr blk_snap_uuid kUnknownId = {
	{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

bool same(const blk_snap_dev &a, const blk_snap_dev &b);
bool same(const blk_snap_uuid &a, const blk_snap_uuid &b);

std::vector<blk_snap_uuid> snapshot_ids(const Control &control);
std::vector<blk_snap_cbt_info> trackers(const Control &control);
// Nothing if the device is not tracked.
std::optional<blk_snap_cbt_info> tracker_of(const Control &control, blk_snap_dev device);
// These return 0 or an errno.
int remove_tracker(const Control &control, blk_snap_dev device);
// What was created is destroyed again.
int try_create(const Control &control, std::vector<blk_snap_dev> devices);
int mark_dirty(const Control &control, blk_snap_dev device,
	       std::vector<blk_snap_block_range> ranges);

// The whole readable map; throws if it cannot be read.
Bytes cbt_map(const Control &control, blk_snap_dev device);
// Numbers of the blocks with a byte above `since`.
std::vector<unsigned> changed_blocks(const Control &control, blk_snap_dev device, unsigned since);

// A snapshot from create to destroy, which also removes the trackers of its devices.
class Snapshot
{
public:
	enum class Trackers { Remove, Keep };

	Snapshot(const Control &control, std::vector<const Disk *> disks,
		 Trackers trackers = Trackers::Remove);
	~Snapshot();
	Snapshot(const Snapshot &) = delete;
	Snapshot &operator=(const Snapshot &) = delete;

	const blk_snap_uuid &id() const { return id_; }
	// These return 0 or an errno.
	int append(const Disk &store, std::vector<blk_snap_block_range> ranges) const;
	int take() const;
	int destroy() const;
	// WAIT_EVENT; `event` is poisoned before.
	int wait_event(unsigned timeout_ms, blk_snap_snapshot_event &event) const;

	// Gives all of a disk as storage and takes; throws if one fails.
	void take_with(const Disk &store) const;
	// Of a taken snapshot.
	Disk image_of(const Disk &origin) const;

private:
	const Control &control_;
	std::vector<blk_snap_dev> devices_;
	Trackers trackers_;
	blk_snap_uuid id_;
};

// Removes a tracker, if there is one, when whoever has this ends: a constructor that throws, too.
class TrackerEnd
{
public:
	TrackerEnd(const Control &control, const Disk &disk)
		: control_(control), number_(disk.number())
	{
	}
	~TrackerEnd() { remove_tracker(control_, number_); }
	TrackerEnd(const TrackerEnd &) = delete;
	TrackerEnd &operator=(const TrackerEnd &) = delete;

private:
	const Control &control_;
	const blk_snap_dev number_;
};

} // namespace kselftest
