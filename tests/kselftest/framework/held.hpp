// SPDX-License-Identifier: GPL-2.0
//
// Held: an origin with known content, and a taken snapshot of it.
#pragma once

#include "events.hpp"
#include "snapshot.hpp"

#include <optional>
#include <vector>

namespace kselftest
{

class Held
{
public:
	static constexpr std::uint64_t kSectors = 8192; // that are filled: 4 MiB

	// The disks must live longer.
	Held(const Disk &&, const Disk &, std::uint64_t = 0) = delete;
	Held(const Disk &origin, const Disk &store, std::uint64_t sectors = kSectors)
		: tracker_end_(control_, origin), origin_(origin), store_(store), sectors_(sectors)
	{
		origin.fill(kSeed, 0, sectors);
		snapshot_.emplace(control_, std::vector<const Disk *>{&origin},
				  Snapshot::Trackers::Keep);
		snapshot_->take_with(store);
	}
	Held(const Held &) = delete;
	Held &operator=(const Held &) = delete;

	const Control &control() const { return control_; }
	const Snapshot &snapshot() const { return *snapshot_; }
	Disk image() const { return snapshot_->image_of(origin_); }

	// What the origin had at the cut.
	Bytes at_cut() const { return pattern(kSeed, sectors_); }
	// Whether the image shows what the origin had at the cut, and no event says that it is lost.
	bool image_is_right() const
	{
		return image().holds(kSeed, 0, sectors_) && !lost_image(*snapshot_, 0);
	}
	// Whether the origin still has there what it had at the cut.
	bool origin_is_old(std::uint64_t sector, std::uint64_t sectors) const
	{
		const Bytes then = at_cut();
		return origin_.read(sector, sectors) ==
		       Bytes(then.begin() + static_cast<long>(sector * 512),
			     then.begin() + static_cast<long>((sector + sectors) * 512));
	}

	// Ends the snapshot and takes another: the tracking blocks that changed since the cut.
	std::vector<unsigned> changes()
	{
		const blk_snap_dev number = origin_.number();
		const unsigned since = tracker_of(control_, number).value().snap_number;

		snapshot_.reset();
		snapshot_.emplace(control_, std::vector<const Disk *>{&origin_},
				  Snapshot::Trackers::Keep);
		snapshot_->take_with(store_);
		return changed_blocks(control_, number, since);
	}

private:
	static constexpr std::uint64_t kSeed = 7;

	const Control control_;
	const TrackerEnd tracker_end_; // after the snapshot's
	const Disk &origin_;
	const Disk &store_;
	const std::uint64_t sectors_;
	std::optional<Snapshot> snapshot_;
};

} // namespace kselftest
