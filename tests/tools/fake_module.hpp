// SPDX-License-Identifier: GPL-2.0
//
// FakeModule: the interface's answers from memory, for tests of the library and the command.
//
// It keeps the rules about counts, short arrays and errors that clients depend on. It has no data.
#ifndef BLKSNAP_FAKE_MODULE_HPP
#define BLKSNAP_FAKE_MODULE_HPP

#include <blksnap/control.hpp>

#include <blksnap.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

namespace blksnap::test
{

struct FakeSnapshot {
	blk_snap_uuid id{};
	std::vector<blk_snap_dev> devices;
	std::vector<blk_snap_block_range> storage;
	bool taken = false;
};

class FakeModule final
{
public:
	Control control();

	// A snapshot with the id 00..0@number, taken, of the devices 8:1, 8:2, ... 8:@devices.
	void add_snapshot(std::uint8_t number, unsigned devices);

	std::vector<blk_snap_cbt_info> trackers;
	std::vector<std::uint8_t> cbt_map;
	std::deque<FakeSnapshot> snapshots;
	std::deque<blk_snap_snapshot_event> events;
	std::vector<blk_snap_block_range> marked;
	std::vector<blk_snap_dev> removed;
	std::map<unsigned long, int> failures; // by request: the negative errno to answer
	// By request: what happens just before the answer, once.
	std::map<unsigned long, std::function<void()>> before;

private:
	int answer(unsigned long request, void *argument);
	int collect_trackers(blk_snap_tracker_collect &argument);
	int read_map(blk_snap_tracker_read_cbt_bitmap &argument);
	int create(blk_snap_snapshot_create &argument);
	int destroy(blk_snap_snapshot_destroy &argument);
	int append(blk_snap_snapshot_append_storage &argument);
	int take(blk_snap_snapshot_take &argument);
	int collect(blk_snap_snapshot_collect &argument);
	int collect_images(blk_snap_snapshot_collect_images &argument);
	int wait_event(blk_snap_snapshot_event &argument);
	FakeSnapshot *find(const blk_snap_uuid &id);

	std::mutex lock_;
	std::condition_variable changed_;
};

} // namespace blksnap::test

#endif
