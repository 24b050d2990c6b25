// SPDX-License-Identifier: GPL-2.0
//
// Shown: a file system with files on the origin, a snapshot of it, its image mounted; the origin is not.
#pragma once

#include "kselftest.hpp"
#include "mount.hpp"
#include "process.hpp"
#include "snapshot.hpp"

#include <optional>

namespace kselftest
{

class Shown
{
public:
	Shown(const Disk &origin, const Disk &store)
		: number_(origin.number()), tracker_end_(control_, origin)
	{
		make_file_system(origin, "ext4");
		{
			Mount mount(origin);
			mount.write_files("old", 8, 64);
			REQUIRE_ERRNO(mount.unmount(), 0);
		}
		snapshot_.emplace(control_, std::vector<const Disk *>{&origin},
				  Snapshot::Trackers::Keep);
		snapshot_->take_with(store);
		mount_.emplace(snapshot_->image_of(origin));
	}

	const Snapshot &snapshot() const { return *snapshot_; }
	bool files_are_right() const { return mount_->holds_files("old", 8, 64); }
	// Unmounts and destroys, whatever state things are in, and nothing hangs or is left.
	void end()
	{
		EXPECT_ERRNO(mount_->unmount(), 0);
		mount_.reset();
		EXPECT_ERRNO(snapshot_->destroy(), 0);
		const int error = remove_tracker(control_, number_);
		EXPECT(error == 0 || error == ENXIO || error == ENODATA);
		EXPECT(wait_until([&] { return control_.trackers() == 0; }));
	}

private:
	const Control control_;
	const blk_snap_dev number_;
	const TrackerEnd tracker_end_; // after the snapshot's
	std::optional<Snapshot> snapshot_;
	std::optional<Mount> mount_;
};

} // namespace kselftest
