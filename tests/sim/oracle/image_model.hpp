// SPDX-License-Identifier: GPL-2.0
//
// ImageModel and SnapshotModel: what the images of a snapshot may show.
//
// The first read of a sector fixes what the cut holds there, and narrows the instant at which the
// cut can have been made; all sectors of all images of the snapshot must agree on one instant
// between the call of TAKE and its return. That one rule covers constancy, writes in flight and
// the order over several devices.
#pragma once

#include <memory>
#include <oracle/write_log.hpp>
#include <vector>

namespace sim
{

struct SnapshotModel;

enum class Zero : u8 { No, Maybe, Yes };

class ImageModel
{
public:
	ImageModel(SnapshotModel &snapshot, Device &origin, Device &image);
	ImageModel(const ImageModel &) = delete;
	~ImageModel();

	// A read of one sector within [begin, end] gave `stamp`.
	void check_read(u64 sector, u64 stamp, u64 begin, u64 end);
	void on_error(u64 begin, int status);
	void on_success(u64 begin);
	void on_corrupted_event(int error);
	// Sectors of the disk below are being given to a store: they show the cut or zeroes.
	void on_store_offered(u64 disk_sector, u64 count);
	// They were given: from now on they show zeroes.
	void on_store_given(u64 disk_sector, u64 count);

	// What the cut is known to hold; kUnknown if nobody has read it.
	static constexpr u64 kUnknown = ~u64{0};
	u64 cut(u64 sector) const { return cut_[sector]; }
	bool plain(u64 sector) const { return zero_[sector] == Zero::No; }
	bool plain(u64 sector, u32 sectors) const;

	SnapshotModel &snapshot;
	Device &origin;
	Device &image;
	const u64 sectors;
	u32 corrupted_events = 0;
	u64 corrupted_since = kNever; // order number of the event's arrival
	bool seen_lost = false;	      // by a request that failed
	bool exchanged =
		false; // the medium below is another one: what it shows is nobody's content

private:
	void check_cut(u64 sector, u64 stamp);

	struct Hole {
		u64 first;
		u64 count;
		u64 since; // order number
	};
	bool must_be_zero(u64 sector, u64 begin) const;
	template <class F> void each_sector(u64 disk_sector, u64 count, F &&body);

	std::vector<u64> cut_;
	std::vector<Zero> zero_;
	std::vector<Hole> holes_; // that came after the cut
};

struct StoreRange {
	Device *disk; // bottom
	u64 sector;
	u64 sectors;
	const void *owner;  // snapshot
	bool ended = false; // or not yet given
};

struct SnapshotModel {
	u8 id[16] = {};
	std::vector<Device *> origins;
	std::vector<std::unique_ptr<ImageModel>> images;
	u64 take_begin = 0;
	u64 take_end = 0;
	u64 take_begin_us = 0;
	Instant instant;
	u64 end_begin = kNever;		 // order number of the first DESTROY
	bool store_may_be_short = false; // not all was accepted
	bool check_content = true;
	u32 low_space_events = 0;
	u32 readers = 0; // tasks that use the images
	u32 waiters = 0; // tasks that wait for events
	bool created = false;
	bool stop_waiting = false;

	ImageModel *image_of(const Device *origin);
	// An event arrived; it may come before the agent knows the images. One from before the take
	// belongs to a take that failed.
	void on_event(u32 code, Device *origin, int error, u64 time_us);
	void deliver_early();
	void narrow(const Instant &seen, const ImageModel &image, u64 sector);
	bool ending() const { return end_begin != kNever; }

private:
	struct Corrupted {
		Device *origin;
		int error;
		u64 time_us;
	};
	std::vector<Corrupted> early_;
};

} // namespace sim
