// SPDX-License-Identifier: GPL-2.0
//
// Disk: a whole disk with trackers on it. Every data-changing bio to it comes here first.
//
// One decision covers all trackers that a bio's sectors meet:
//
//     count in flight ─ gate closed? ─ uncount, park at the gate (or come in after all, if one in
//           │                          flight ends only with this one)
//     each held snapshot: old content preserved? ─ no: uncount, park on the copy; or, if the
//           │ yes                                      submitter may, read the copy and begin again
//     mark CBT, admit (completion is ours until it completes), pass
//
// A submitter that reads the copies it has begun spares the way through two workers: on a device
// that is quick enough the copy is there when it asks again. It waits for nothing but what its own
// write would wait for next: the room in the queue of the device.
//
// A parked bio is counted nowhere. When it is woken, the release worker runs the whole decision
// from the top: snapshots may have ended or begun meanwhile. The worker is the disk's own, since
// submitting can sleep in the block layer on behalf of a throttled group.
//
// A bio is recognised by identity: our own bios by their pool, admitted ones by completion and
// record. Remainders of split bios come through the hook again as the same object; they pass, or
// a take would wait for a write that waits for the take.
#pragma once

#include <blksnap/base/lock.hpp>
#include <blksnap/core/bio_list.hpp>
#include <blksnap/core/tracker.hpp>
#include <blksnap/core/write_record.hpp>
#include <blksnap/port/work.h>

namespace blksnap
{

struct Copy;

class Disk final
{
public:
	// `bdev` is any open device of the disk. Not hooked yet. Context: process.
	static Result<Own<Disk>> create(const shim_bdev_info &info, u32 parked_limit);
	Disk(const Disk &) = delete;
	Disk &operator=(const Disk &) = delete;
	// Needs: unhooked, a grace period since, reclaimable().
	~Disk();

	u64 key() const { return key_; }
	u64 diskseq() const { return diskseq_; }
	u64 stack_rank() const { return stack_rank_; }
	const char *name() const { return name_; }

	// --- data path -----------------------------------------------------------------------
	// Context: atomic, RCU read section.
	blksnap_decision submit(bio *bio);
	void complete(WriteRecord &record); // Context: any, RCU read section.
	void backpressure(bool may_wait);   // Context: process if may_wait.
	// Parked bios go on: decided anew by the worker. Context: any.
	void release(BioList &bios);
	void run_release(); // The worker.
	// Bios that found no memory for a record try again. Context: any; once a second.
	void retry();

	// --- the gate ------------------------------------------------------------------------
	// After close_gate() new writes park; wait_idle() waits for those in flight, and
	// is called once: after it has seen the end, nobody comes in.
	void close_gate();
	Result<void> wait_idle(u32 timeout_ms);
	void open_gate();

	// --- control: callers hold the control's mutex ---------------------------------------
	void add_tracker(Tracker &tracker);
	// Returns after a grace period: no decision sees the tracker any more.
	void remove_tracker(Tracker &tracker);
	bool has_trackers() const { return first_tracker() != nullptr; }
	bool hooked = false;
	// Nothing refers to it any more (given that it is unhooked and a grace period passed).
	bool reclaimable() const;

private:
	enum class Outcome : u32 {
		Pass = BLKSNAP_PASS,
		Ended = BLKSNAP_TAKEN,
		ReadFirst = BLKSNAP_READ_FIRST,
		Parked, // the submitter's answer depends on how many there are
	};
	struct Decision {
		Outcome outcome;
		Copy *claimed = nullptr; // ReadFirst: what the submitter is to read
	};
	// The next tracker that a write meets, and where; null: there is none.
	struct Hit {
		Tracker *tracker;
		SectorRange range;
	};
	struct Gate {
		bool closed = false;
		bool draining = false; // since it closed, not all that were in flight have ended
		BioList parked;
		BioList without_record;
		RecordReserve reserve;
	};

	// How long a submitter waits at most while too many bios are parked.
	static constexpr u32 kCrowdedMs = 100;
	static constexpr u32 kLookForChainsMs = 50;

	Disk(const shim_bdev_info &info, u32 parked_limit);
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp, Args &&...);

	Decision decide(bio *bio, bool may_read);
	bool is_admission(shim_bio_saved *admission) const;
	Decision decide_tracked(bio *bio, const shim_write &write, Hit first, bool may_read);
	blksnap_verdict note_parked();
	WritesInFlight::Slot *enter_closed_gate(WritesInFlight::Slot &slot, bio *bio);
	void let_chains_in();
	static bool is_settled(const shim_write &write, Hit first);
	static Decision preserve(bio *bio, const shim_write &write, Tracker *first, bool may_read);
	static bool is_preserved(const shim_write &write, Tracker *first);
	static void pass_on(const shim_write &write, Hit first);
	static void mark_rest(const shim_write &write, Tracker *second);
	WriteRecord *take_record(WritesInFlight::Slot &slot, bio *bio)
	{
		WriteRecord *kept = slot.take_record();
		return kept ? kept : make_record(bio);
	}
	WriteRecord *make_record(bio *bio);
	void return_to_reserve(WriteRecord &record);
	void leave(WritesInFlight::Slot &slot)
	{
		WritesInFlight::leave(slot);
		// That is a full barrier: if the gate was closed before our count was seen as gone,
		// we see it closed.
		if (gate_closed_.load(Order::SeqCst)) [[unlikely]]
			idle_.wake_all();
	}
	void release_one(bio *bio);
	static Hit meet(Tracker *from, const shim_write &write);
	static Hit meet_next(Hit hit, const shim_write &write)
	{
		Tracker *next = next_tracker(*hit.tracker);
		return next ? meet(next, write) : Hit{nullptr, {0, 0}};
	}
	Tracker *first_tracker() const { return first_tracker_.load(Order::Acquire); }
	static Tracker *next_tracker(const Tracker &tracker)
	{
		return tracker.next_on_disk.load(Order::Acquire);
	}

	const u64 key_;
	const u64 diskseq_;
	const u64 stack_rank_;
	const u32 parked_limit_;
	char name_[32];
	Atomic<Tracker *> first_tracker_; // read by RCU, changed under the control's mutex
	WritesInFlight in_flight_;
	Atomic<bool> gate_closed_;
	Atomic<bool> reserve_low_; // records of the reserve are out, or waited for
	Guarded<Gate, LockRank::Disk> gate_{"blksnap disk"};
	WaitQueue idle_{"blksnap drain"};
	WaitQueue uncrowded_{"blksnap parked"};
	Atomic<u32> parked_;
	Atomic<u32> pins_;
	Atomic<bool> resubmitting_; // the worker hands on a bio that no tracker meets
	Guarded<BioList, LockRank::Release> released_{"blksnap release"};
	shim_work *work_ = nullptr;
};

} // namespace blksnap
