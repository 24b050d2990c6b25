// SPDX-License-Identifier: GPL-2.0
//
// Upper devices go before lower ones: mounts, snapshots, md, dm, loop, disks.
#include "leftovers.hpp"

#include "disk.hpp"
#include "file.hpp"
#include "module.hpp"
#include "process.hpp"
#include "snapshot.hpp"

#include <sys/mount.h>
#include <sys/swap.h>

#include <filesystem>
#include <fstream>

namespace kselftest
{

namespace
{

void remove_snapshots(std::vector<std::string> &found)
{
	if (!module::is_loaded() && module::load() == 0)
		found.push_back("no module");
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

// Files of the scratch directory, and disks of ours in use by the kernel itself.
void remove_users(std::vector<std::string> &found)
{
	std::ifstream mounts("/proc/self/mounts"), swaps("/proc/swaps");
	std::string device, path, rest;

	while (mounts >> device >> path && std::getline(mounts, rest)) {
		if (path.find("/kselftest-") == std::string::npos)
			continue;
		found.push_back(path + ", which is mounted");
		umount2(path.c_str(), MNT_DETACH);
	}
	while (swaps >> path && std::getline(swaps, rest)) {
		if (path.find(kDevicePrefix) == std::string::npos)
			continue;
		found.push_back("swap on " + path);
		swapoff(path.c_str());
	}
}

void remove_md(std::vector<std::string> &found)
{
	for (const std::string &name : names_in("/dev/md")) {
		if (!name.starts_with(kDevicePrefix))
			continue;
		found.push_back("md device " + name);
		(void)run({"mdadm", "--stop", "--quiet", "/dev/md/" + name});
	}
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

	remove_users(found);
	remove_snapshots(found);
	remove_md(found);
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
