// SPDX-License-Identifier: GPL-2.0
//
// Stage: devices and calls of a case. What can only go wrong because of the core fails the history.
#pragma once

#include <case/cases.hpp>
#include <script/foreign_io.hpp>
#include <script/ioctl.hpp>

namespace sim
{

class Stage
{
public:
	explicit Stage(History &history) : history_(history) {}

	Device &disk(u64 sectors);
	Device &stacked(Device &lower);
	// A disk that is given to stores as a whole; nobody else writes there.
	Device &store(u64 sectors);

	// So much memory for copies, of snapshots to come.
	void limit_pages(u32 pages);

	SnapshotModel &create(const std::vector<Device *> &origins);
	long try_create(const std::vector<Device *> &origins);
	void append(SnapshotModel &snapshot, Device &store);
	long try_append(SnapshotModel &snapshot, Device &device, u64 sector, u64 sectors);
	void take(SnapshotModel &snapshot);
	long try_take(SnapshotModel &snapshot);
	// Of one origin, with all that belongs to it.
	SnapshotModel &taken(Device &origin, Device &store);
	void destroy(SnapshotModel &snapshot);
	// Takes and destroys until the next take of the device gives number `number`.
	void age(Device &origin, Device &store, u32 number);

	// Waits for the end. Return: the status.
	int write(Device &device, u64 sector, u32 sectors);
	int read(ImageModel &image, u64 sector, u32 sectors);
	// The next event, for which somebody may have to wait. 0: it came.
	long next_event(SnapshotModel &snapshot, agent_ioctl::Event &event, u32 timeout_ms = 0);
	// The next corrupted event must come soon and say `error`.
	void expect_corrupted(SnapshotModel &snapshot, const Device &origin, int error);

	blk_snap_cbt_info info(const Device &origin);
	std::vector<u8> map(const Device &origin);

	template <class F> void spawn(const char *name, F &&body)
	{
		history_.others.spawn(name, std::forward<F>(body));
	}
	void join() { history_.others.join(); }
	History &history() { return history_; }

private:
	History &history_;
};

// Fails the history unless it holds.
#define SIM_EXPECT(condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail("case", "%s:%d: %s", __FILE__, __LINE__, #condition);                 \
	} while (0)

} // namespace sim
