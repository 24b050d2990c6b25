// SPDX-License-Identifier: GPL-2.0
//
// Upper devices go before lower ones: snapshots, dm, loop, disks.
#include "leftovers.hpp"

#include "disk.hpp"
#include "file.hpp"
#include "snapshot.hpp"

#include <filesystem>

namespace kselftest
{

namespace
{

void remove_snapshots(std::vector<std::string> &found)
{
	if (!exists("/dev/blksnap"))
		return;
	const Control control;
	for (const blk_snap_uuid &id : snapshot_ids(control)) {
		found.push_back("a snapshot");
		control.try_destroy(id);
	}
	for (const blk_snap_cbt_info &tracker : trackers(control)) {
		found.push_back("the tracker of " + std::to_string(tracker.dev_id.mj) + ":" +
				std::to_string(tracker.dev_id.mn));
		remove_tracker(control, tracker.dev_id);
	}
}

std::vector<std::string> names_in(const std::string &directory)
{
	std::vector<std::string> names;
	std::error_code none;

	for (const auto &entry : std::filesystem::directory_iterator(directory, none))
		names.push_back(entry.path().filename());
	return names;
}

void remove_dm(std::vector<std::string> &found)
{
	for (const std::string &block : names_in("/sys/block")) {
		const std::string name = read_line("/sys/block/" + block + "/dm/name");
		if (!name.starts_with(kDevicePrefix))
			continue;
		found.push_back("dm device " + name);
		DmDisk::remove(name);
	}
}

void remove_loops(std::vector<std::string> &found)
{
	for (const std::string &block : names_in("/sys/block")) {
		const std::string file = read_line("/sys/block/" + block + "/loop/backing_file");
		if (file.find("/kselftest-") == std::string::npos)
			continue;
		found.push_back(block + " over " + file);
		LoopDisk::detach("/dev/" + block);
	}
}

void remove_null_disks(std::vector<std::string> &found)
{
	for (const std::string &name : names_in("/sys/kernel/config/nullb")) {
		if (!name.starts_with(kDevicePrefix))
			continue;
		found.push_back("null_blk device " + name);
		NullDisk::remove(name);
	}
}

} // namespace

std::vector<std::string> remove_leftovers()
{
	std::vector<std::string> found;

	remove_snapshots(found);
	remove_dm(found);
	remove_loops(found);
	remove_null_disks(found);
	if (ScsiDisk::is_ours()) {
		found.push_back("scsi_debug");
		ScsiDisk::remove();
	}
	return found;
}

} // namespace kselftest
