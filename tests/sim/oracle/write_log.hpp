// SPDX-License-Identifier: GPL-2.0
//
// WriteLog: every foreign write, and what each sector may therefore hold.
//
// A write has an order number when it is submitted and one when its submitter sees it complete.
// What a reader may see, and where in this order a cut may lie, follows from these numbers alone:
// the oracle needs to know nothing of the core.
#pragma once

#include <vector>
#include <world/bio.hpp>
#include <world/device.hpp>

namespace sim
{

constexpr u64 kNever = ~u64{0};

struct Write {
	u64 id = 0;
	Op op = Op::Write;
	u32 disk = 0; // device id of the bottom disk, or of an image
	u64 sector = 0;
	u32 sectors = 0;
	u64 submitted = 0;
	u64 completed = kNever;
	int status = 0;
	const bio *request = nullptr;
	std::vector<const bio *> parts; // of a chain

	bool covers(u64 at) const { return at >= sector && at - sector < sectors; }
	// From its completion on nothing older can be seen. A failed write may have changed
	// nothing, and a discard may have been ignored.
	bool settles() const { return completed != kNever && !status && op != Op::Discard; }
};

// Bounds on the instant of a cut, from what was seen.
struct Instant {
	u64 after = 0;
	u64 before = kNever;
};

class WriteLog
{
public:
	WriteLog();
	u64 tick() { return ++order_; }
	u64 next_order() const { return order_ + 1; }

	u64 begin(Device &device, Op op, u64 sector, u32 sectors, const bio *request,
		  std::vector<const bio *> parts = {});
	void complete(u64 id, int status);
	const Write &write(u64 id) const { return writes_[id]; }
	std::size_t count() const { return writes_.size() - 1; }

	// Fails the history unless a read within [begin, end] may see `stamp` there.
	void check_read(const char *oracle, const Device &disk, u64 sector, u64 stamp, u64 begin,
			u64 end) const;
	// What an image sector with `stamp` tells about the instant of its cut.
	Instant instant_of(const Device &disk, u64 sector, u64 stamp) const;
	// The first completion of a write that hides everything before it, or kNever.
	u64 first_settled(const Device &disk, u64 sector) const;
	// True if a write that began before `limit` is on its way to the disk below `device`.
	bool in_flight_before(u64 limit, Device &device) const;

private:
	const Write &origin_of(const char *oracle, const Device &disk, u64 sector, u64 stamp) const;
	const std::vector<u64> &history(const Device &disk, u64 sector) const;

	u64 order_ = 0;
	std::vector<Write> writes_;
	std::vector<std::vector<std::vector<u64>>> by_block_; // disk, block of 8 sectors: ids
	mutable std::vector<u64> pending_;
	Write initial_;
};

} // namespace sim
