// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/disk.hpp>
#include <blksnap/base/mark.hpp>
#include <blksnap/core/diff_area.hpp>

namespace blksnap
{

Disk::Disk(const shim_bdev_info &info, u32 parked_limit)
	: key_(info.disk_key), diskseq_(info.diskseq), stack_rank_(info.stack_rank),
	  parked_limit_(parked_limit)
{
	__builtin_memcpy(name_, info.name, sizeof(name_));
}

Result<Own<Disk>> Disk::create(const shim_bdev_info &info, u32 parked_limit)
{
	auto disk = TRY(try_new<Disk>(Gfp::Kernel, info, parked_limit));
	TRY(disk->in_flight_.init());
	// Allocated outside of the lock: this may sleep.
	for (u32 i = 0; i < RecordReserve::kRecords; i++) {
		Own<WriteRecord> record = TRY(try_new<WriteRecord>(Gfp::Kernel));
		disk->gate_.with([&](Gate &gate) { gate.reserve.give(*record.release()); });
	}
	disk->work_ = shim_work_create(SHIM_WORK_RELEASE, disk.get(), info.name);
	if (!disk->work_)
		return Errno::NoMem;
	return disk;
}

Disk::~Disk()
{
	if (work_)
		shim_work_destroy(work_);
	while (WriteRecord *record = in_flight_.take_kept())
		destroy(record);
	ASSERT(!has_trackers());
}

// --- the decision ---------------------------------------------------------------------------

inline Disk::Hit Disk::meet(Tracker *from, const shim_write &write)
{
	for (Tracker *t = from; t; t = next_tracker(*t)) {
		const auto range = t->covered(write.sector, write.sectors);
		if (!range.empty())
			return {t, range};
	}
	return {nullptr, {0, 0}};
}

// The gate is or was closed. Parks the bio there and gives null, or counts it in flight.
//
// A write that was admitted can wait for one that was not: the bios of a chain complete together. The
// latter still comes in, as long as somebody waits for those in flight. That does not blur the cut: what
// a write follows from has completed, so it is in the image, and what is parked has not.
WritesInFlight::Slot *Disk::enter_closed_gate(WritesInFlight::Slot &slot, bio *bio)
{
	WritesInFlight::leave(slot);
	idle_.wake_all();
	return gate_.with([&](Gate &gate) -> WritesInFlight::Slot * {
		if (!gate.closed) {
			COVERAGE_MARK("disk: the gate opens between the look and the lock");
			return &in_flight_.enter();
		}
		if (gate.draining && shim_bio_parent_is_admitted(bio)) {
			COVERAGE_MARK("disk: a part of a chain comes in late");
			return &in_flight_.enter();
		}
		shim_bio_prepare_park(bio);
		gate.parked.push_back(bio);
		return nullptr;
	});
}

bool Disk::is_preserved(const shim_write &write, Tracker *first)
{
	for (Hit hit = meet(first, write); hit.tracker; hit = meet_next(hit, write)) {
		DiffArea *area = hit.tracker->area();
		if (area && !area->is_preserved(hit.range))
			return false;
	}
	return true;
}

// Nearly all writes: one tracker, and nothing that a snapshot still needs.
inline bool Disk::is_settled(const shim_write &write, Hit first)
{
	const DiffArea *area = first.tracker->area();

	return (!area || area->surely_preserved(first.range)) && !next_tracker(*first.tracker) &&
	       write.kind != SHIM_WRITE_DISCARD;
}

// Several snapshots may hold the sectors (a disk and its partition): each keeps its own copy.
//
// A discard is advice. While it would destroy content that no copy exists of, it is completed
// without being passed down, so that a trim of a whole file system costs no copying. It counts
// as a change all the same.
Disk::Decision Disk::preserve(bio *bio, const shim_write &write, Tracker *first, bool may_read)
{
	if (write.kind == SHIM_WRITE_DISCARD)
		return {is_preserved(write, first) ? Outcome::Pass : Outcome::Ended};
	for (Hit hit = meet(first, write); hit.tracker; hit = meet_next(hit, write)) {
		DiffArea *area = hit.tracker->area();
		if (!area || area->surely_preserved(hit.range))
			continue;
		const auto preserved = area->preserve(bio, hit.range, may_read);
		if (preserved.claimed)
			return {Outcome::ReadFirst, preserved.claimed};
		if (preserved.parked)
			return {Outcome::Parked};
	}
	return {Outcome::Pass};
}

// A bio that was woken because there are pages has parked at the gate: somebody else may take them.
void Disk::pass_on(const shim_write &write, Hit first)
{
	for (Hit hit = first; hit.tracker; hit = meet_next(hit, write))
		if (DiffArea *area = hit.tracker->area())
			area->pass_on();
}

void Disk::mark_rest(const shim_write &write, Tracker *second)
{
	for (Hit hit = meet(second, write); hit.tracker; hit = meet_next(hit, write))
		hit.tracker->mark(hit.range);
}

[[gnu::always_inline]] inline Disk::Decision Disk::decide_tracked(bio *bio, const shim_write &write,
								  Hit first, bool may_read)
{
	// Count, then look at the gate: see in_flight.hpp.
	WritesInFlight::Slot *slot = &in_flight_.enter();
	if (gate_closed_.load(Order::SeqCst)) [[unlikely]] {
		slot = enter_closed_gate(*slot, bio);
		if (!slot) {
			if (!may_read)
				pass_on(write, first);
			return {Outcome::Parked};
		}
	}
	Decision decision{Outcome::Pass};
	if (!is_settled(write, first)) [[unlikely]]
		decision = preserve(bio, write, first.tracker, may_read);
	WriteRecord *record = nullptr;
	if (decision.outcome == Outcome::Pass) {
		record = take_record(*slot, bio);
		if (!record) [[unlikely]]
			decision.outcome = Outcome::Parked;
	}
	if (decision.outcome >= Outcome::ReadFirst) [[unlikely]] {
		// A parked bio is not ours any more.
		leave(*slot);
		return decision;
	}
	// Marked while counted: a take that drained us has our mark in the old generation.
	first.tracker->mark(first.range);
	if (Tracker *second = next_tracker(*first.tracker)) [[unlikely]]
		mark_rest(write, second);
	if (!record) [[unlikely]] { // Ended
		leave(*slot);
		shim_bio_end(bio, 0);
		return decision;
	}
	record->disk = this;
	record->slot = slot;
	shim_bio_admit(bio, &record->saved);
	return decision;
}

// The same bio on another disk (remapped in place) is decided anew there.
inline bool Disk::is_admission(shim_bio_saved *admission) const
{
	return admission && WriteRecord::from(admission).disk == this;
}

[[gnu::always_inline]] inline Disk::Decision Disk::decide(bio *bio, bool may_read)
{
	// Cleared by the compiler it would be filled twice.
	__attribute__((uninitialized)) shim_write write;
	shim_bio_describe_write(bio, &write);
	// Admitted here before: a remainder of a split, or a driver's retry.
	if (write.own || is_admission(write.admission)) [[unlikely]]
		return {Outcome::Pass};
	// What the block layer will refuse is none of our business: it must neither cost the
	// image nor change its result. The hook stands before those checks.
	if (!write.supported || write.sectors == 0 || write.sector >= write.end_sector ||
	    write.sectors > write.end_sector - write.sector) [[unlikely]]
		return {Outcome::Pass};

	const Hit first = meet(first_tracker(), write);
	return first.tracker ? decide_tracked(bio, write, first, may_read)
			     : Decision{Outcome::Pass};
}

blksnap_decision Disk::submit(bio *bio)
{
	const Decision decision = decide(bio, true);

	if (decision.outcome == Outcome::Parked) [[unlikely]]
		return {note_parked(), nullptr};
	return {static_cast<blksnap_verdict>(decision.outcome), decision.claimed};
}

blksnap_verdict Disk::note_parked()
{
	// The release may already be under way: `parked_` may pass below zero for a moment, which
	// is why it is compared as signed.
	const u32 parked = parked_.fetch_add(1, Order::Relaxed) + 1;
	if (static_cast<i32>(parked) <= static_cast<i32>(parked_limit_) ||
	    resubmitting_.load(Order::Relaxed))
		return BLKSNAP_TAKEN;
	COVERAGE_MARK("disk: too many bios are parked");
	pins_.fetch_add(1, Order::Relaxed);
	return BLKSNAP_TAKEN_CROWDED;
}

// --- records --------------------------------------------------------------------------------

void Disk::retry()
{
	BioList waiting;

	gate_.with([&](Gate &gate) { waiting.splice_back(gate.without_record); });
	if (!waiting.empty())
		release(waiting);
}

// Parks the bio and gives null if no record can be had without waiting.
WriteRecord *Disk::make_record(bio *bio)
{
	auto fresh = try_new<WriteRecord>(Gfp::NoWait);
	if (fresh.ok())
		return fresh.release_value().release();
	return gate_.with([&](Gate &gate) {
		reserve_low_.store(true, Order::Relaxed);
		WriteRecord *record = gate.reserve.take();
		if (!record) {
			COVERAGE_MARK("disk: a bio waits for a record");
			shim_bio_prepare_park(bio);
			gate.without_record.push_back(bio);
		}
		return record;
	});
}

// While the reserve is low every record that comes back goes there first. A bio waits for a
// record only while the whole reserve is out, so one of those that are out sees it waiting, unless all
// of them wait for that bio (see enter_closed_gate()): then memory has to help, see retry().
void Disk::return_to_reserve(WriteRecord &record)
{
	BioList waiting;
	const bool kept = gate_.with([&](Gate &gate) {
		waiting.splice_back(gate.without_record);
		if (!gate.reserve.wants())
			return false;
		gate.reserve.give(record);
		reserve_low_.store(gate.reserve.wants(), Order::Release);
		return true;
	});
	if (!kept)
		destroy(&record);
	if (!waiting.empty())
		release(waiting);
}

void Disk::complete(WriteRecord &record)
{
	WritesInFlight::Slot &slot = *record.slot;

	if (reserve_low_.load(Order::Acquire)) [[unlikely]]
		return_to_reserve(record);
	else if (WriteRecord *homeless = slot.keep_record(&record))
		destroy(homeless);
	leave(slot);
}

// --- parking and release ---------------------------------------------------------------------

void Disk::release(BioList &bios)
{
	released_.with([&](BioList &list) { list.splice_back(bios); });
	shim_work_queue(work_);
}

void Disk::run_release()
{
	for (;;) {
		bio *bio = released_.with([](BioList &list) { return list.pop_front(); });
		if (!bio)
			return;
		release_one(bio);
	}
}

void Disk::release_one(bio *bio)
{
	shim_rcu_read_lock();
	const Outcome outcome = decide(bio, false).outcome;
	shim_rcu_read_unlock();

	if (outcome == Outcome::Parked) {
		COVERAGE_MARK("disk: a released bio is parked again");
		return;
	}
	// Without record nothing else tells that this worker is still to submit it: the disk must
	// not be taken away (and this worker be waited for) meanwhile.
	pins_.fetch_add(1, Order::Relaxed);
	Defer unpin([&] { pins_.fetch_sub(1, Order::Release); });
	// Whoever sees none parked sees the pin, too.
	const u32 parked = parked_.fetch_sub(1, Order::Release) - 1;
	if (parked == parked_limit_ / 2 || parked == 0)
		uncrowded_.wake_all();
	if (outcome == Outcome::Ended)
		return;
	// It passes the hook again and is recognised there, unless no tracker met it: then it is
	// decided anew, and must not make this worker wait for itself. Not for others: they would
	// park without limit while this worker sleeps for a request of a busy device.
	const bool unknown = !is_admission(shim_bio_admission(bio));
	if (unknown)
		COVERAGE_MARK("disk: a released bio meets no tracker any more");
	resubmitting_.store(unknown, Order::Relaxed);
	shim_bio_submit(bio);
	resubmitting_.store(false, Order::Relaxed);
}

// Like the wait for a request tag: without it, writers would queue without limit. Not a wait for
// a copy: the bio is held already, and it is released by whatever happens to the snapshot. Not without
// end: the submitter may be the worker of a driver that hands down what was deferred, and parked bios
// may wait for what it has yet to hand down.
void Disk::backpressure(bool may_wait)
{
	const auto uncrowded = [&] {
		return static_cast<i32>(parked_.load(Order::Relaxed)) <=
		       static_cast<i32>(parked_limit_ / 2);
	};
	if (may_wait && uncrowded_.wait(uncrowded, kCrowdedMs, false))
		COVERAGE_MARK("disk: a submitter has waited long enough");
	pins_.fetch_sub(1, Order::Release);
}

// --- the gate --------------------------------------------------------------------------------

void Disk::close_gate()
{
	gate_.with([](Gate &gate) { gate.closed = gate.draining = true; });
	gate_closed_.store(true, Order::SeqCst);
	full_barrier();
}

// Parts of chains that met the gate before what they belong to was admitted.
void Disk::let_chains_in()
{
	BioList late, others;

	gate_.with([&](Gate &gate) {
		while (bio *bio = gate.parked.pop_front())
			(shim_bio_parent_is_admitted(bio) ? late : others).push_back(bio);
		gate.parked.splice_back(others);
	});
	if (!late.empty())
		release(late);
}

Result<void> Disk::wait_idle(u32 timeout_ms)
{
	// Looked at once more where nobody comes in.
	const auto drained = [&] {
		return in_flight_.idle() && gate_.with([&](Gate &gate) {
			gate.draining = !in_flight_.idle();
			return !gate.draining;
		});
	};
	for (u32 left_ms = timeout_ms;;) {
		const u32 ms = min(left_ms, kLookForChainsMs);
		const int result = idle_.wait(drained, ms, false);

		left_ms -= ms;
		if (!result || !left_ms)
			return port_result(result);
		let_chains_in();
	}
}

void Disk::open_gate()
{
	BioList parked;

	gate_closed_.store(false, Order::Release);
	gate_.with([&](Gate &gate) {
		gate.closed = gate.draining = false;
		parked.splice_back(gate.parked);
	});
	if (!parked.empty())
		release(parked);
}

// --- control ---------------------------------------------------------------------------------

void Disk::add_tracker(Tracker &tracker)
{
	tracker.next_on_disk.store(first_tracker(), Order::Relaxed);
	first_tracker_.store(&tracker, Order::Release);
}

void Disk::remove_tracker(Tracker &tracker)
{
	Atomic<Tracker *> *link = &first_tracker_;

	while (link->load(Order::Relaxed) != &tracker)
		link = &link->load(Order::Relaxed)->next_on_disk;
	link->store(next_tracker(tracker), Order::Release);
	shim_rcu_synchronize();
}

bool Disk::reclaimable() const
{
	return in_flight_.idle() && parked_.load(Order::Acquire) == 0 &&
	       pins_.load(Order::Acquire) == 0;
}

} // namespace blksnap
