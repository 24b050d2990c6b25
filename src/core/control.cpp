// SPDX-License-Identifier: GPL-2.0
//
// Control: life and look-up of snapshots. Trackers and disks are in control_trackers.cpp, storage
// in control_storage.cpp.
#include <blksnap/core/control.hpp>
#include <blksnap/base/mark.hpp>

namespace blksnap
{

namespace
{
constexpr u32 kSweepMs = 1000;
}

Result<Own<Control>> Control::create()
{
	auto control = TRY(try_new<Control>(Gfp::Kernel));

	control->sweep_ = shim_work_create(SHIM_WORK_SWEEP, control.get(), "sweep");
	if (!control->sweep_)
		return Errno::NoMem;
	control->sweeping_.store(true, Order::Relaxed);
	shim_work_queue_delayed(control->sweep_, kSweepMs);
	return control;
}

Control::~Control()
{
	sweeping_.store(false, Order::Relaxed);
	if (sweep_)
		shim_work_destroy(sweep_);
	// No ioctl runs any more: nothing can be Taking, and the mutex is for the asserts of others.
	while (!snapshots_.empty())
		end_snapshot(Ref<Snapshot>(snapshots_.back()));
	{
		Mutex::Guard guard(lock_);
		while (!trackers_.empty())
			detach(*trackers_.back());
	}
	// Writes that were admitted end when the devices complete them, not before: their
	// completion is code of this module.
	for (;;) {
		for (Own<Disk> &disk : disks_)
			disk->retry();
		reclaim_disks();
		if (disks_.empty())
			return;
		changed_.wait([] { return false; }, 20, false);
	}
}

void Control::run_sweep()
{
	{
		Mutex::Guard guard(lock_);
		drop_dead_trackers();
		for (Own<Disk> &disk : disks_)
			disk->retry();
		reclaim_disks();
	}
	if (sweeping_.load(Order::Relaxed))
		shim_work_queue_delayed(sweep_, kSweepMs);
}

Snapshot *Control::find_snapshot(const Uuid &id)
{
	for (const Ref<Snapshot> &snapshot : snapshots_)
		if (snapshot->known() && snapshot->id() == id)
			return snapshot.get();
	return nullptr;
}

bool Control::is_known(const Uuid &id)
{
	Mutex::Guard guard(lock_);

	return find_snapshot(id);
}

// --- create ----------------------------------------------------------------------------------

Result<Uuid> Control::create_snapshot(const Vector<DeviceNumber> &numbers)
{
	shim_params params;
	shim_params_get(&params);

	if (numbers.empty())
		return Errno::Inval;
	for (u32 i = 0; i < numbers.size(); i++)
		for (u32 j = 0; j < i; j++)
			if (numbers[i] == numbers[j])
				return Errno::Inval;

	auto snapshot = TRY(Snapshot::create(params, numbers.size()));
	Result<void> held = Errno::Again;

	for (u32 i = 0; i < kOpenAttempts && !held.ok() && held.error() == Errno::Again; i++)
		held = hold_all(*snapshot, numbers);
	TRY(held);
	// This can last; the snapshot holds what it needs.
	settle(*snapshot);
	Mutex::Guard guard(lock_);
	snapshot->set_state(Snapshot::State::Created);
	shim_log(SHIM_LOG_INFO, "snapshot %s: created for %u devices",
		 snapshot->id().text().characters, numbers.size());
	return snapshot->id();
}

// Writes from before a tracker existed, or covered their sectors, are counted nowhere: let them end, or
// a take that follows at once would miss them.
void Control::settle(Snapshot &snapshot)
{
	const u64 since_ns = shim_clock_ns();

	for (Snapshot::Member &member : snapshot.members()) {
		if (!std::exchange(member.tracker->unsettled, false))
			continue;
		if (shim_bdev_settle(member.bdev, since_ns))
			shim_log(
				SHIM_LOG_WARNING,
				"%s: older writes are still in flight; a snapshot taken before they end "
				"may show them late",
				member.tracker->info().name);
	}
}

// Opens and closes without the mutex: a device that does not answer can keep both waiting, and with them
// nobody but who named it. EAGAIN: a device was replaced meanwhile.
Result<void> Control::hold_all(Snapshot &snapshot, const Vector<DeviceNumber> &numbers)
{
	Vector<OpenDevice> devices;
	Vector<Tracker *> fresh;
	TRY(devices.reserve(numbers.size()));
	TRY(fresh.reserve(numbers.size()));
	for (const DeviceNumber &number : numbers)
		devices.push_reserved(TRY(open(number)));
	Defer close([&] { snapshot.close(); });

	Mutex::Guard guard(lock_);
	Defer undo([&] {
		snapshot.release();
		for (Tracker *tracker : fresh)
			detach(*tracker);
	});
	TRY(snapshots_.reserve(snapshots_.size() + 1));
	for (u32 i = 0; i < numbers.size(); i++)
		TRY(hold(snapshot, numbers[i], devices[i], fresh));
	undo.dismiss();
	close.dismiss();
	snapshots_.push_reserved(Ref<Snapshot>(snapshot));
	return {};
}

// --- take ------------------------------------------------------------------------------------

Result<void> Control::take_snapshot(const Uuid &id)
{
	auto snapshot = TRY(begin_take(id));
	Result<void> result;

	{
		Mutex::Guard guard(take_lock_);
		result = take(*snapshot);
		if (!result.ok()) {
			COVERAGE_MARK("control: a take is undone");
			snapshot->dismantle();
		}
	}
	{
		Mutex::Guard guard(lock_);
		if (!result.ok())
			snapshot->covering = false;
		snapshot->set_state(result.ok() ? Snapshot::State::Taken
						: Snapshot::State::Created);
	}
	changed_.wake_all();
	if (result.ok())
		shim_log(SHIM_LOG_INFO,
			 "snapshot %s: taken of %u devices, writers held up for %llu us",
			 id.text().characters, snapshot->members().size(),
			 static_cast<unsigned long long>(snapshot->held_up_us()));
	else
		shim_log(SHIM_LOG_ERROR, "snapshot %s: could not be taken: error %d",
			 id.text().characters, to_int(result.error()));
	return result;
}

Result<Ref<Snapshot>> Control::begin_take(const Uuid &id)
{
	Mutex::Guard guard(lock_);
	Snapshot *snapshot = find_snapshot(id);

	if (!snapshot)
		return Errno::Srch;
	if (snapshot->state() != Snapshot::State::Created)
		return Errno::Already;
	if (snapshot->storage().empty())
		return Errno::NoSpc;
	for (Snapshot::Member &member : snapshot->members()) {
		TRY(member.tracker->refresh());
		TRY(check_trackable(member));
		TRY(check_stores(member.bdev, member.tracker->info().name));
	}
	snapshot->set_state(Snapshot::State::Taking);
	return Ref<Snapshot>(*snapshot);
}

Result<void> Control::take(Snapshot &snapshot)
{
	shim_params params;
	shim_params_get(&params);

	snapshot.events().forget_corrupted();
	TRY(snapshot.prepare(params));
	TRY(exclude_stores(snapshot));
	settle(snapshot);
	TRY(snapshot.cut(params));
	return snapshot.show();
}

// --- destroy ---------------------------------------------------------------------------------

Result<void> Control::destroy_snapshot(const Uuid &id)
{
	Ref<Snapshot> snapshot;

	for (;;) {
		{
			Mutex::Guard guard(lock_);
			Snapshot *found = find_snapshot(id);
			if (!found)
				return Errno::NoDev;
			snapshot = Ref<Snapshot>(*found);
			if (!found->taking()) {
				// Its stores are still written to: it stays where stores are looked for.
				found->set_state(Snapshot::State::Ending);
				break;
			}
		}
		// A take is under way and has its limits; it ends one way or the other.
		COVERAGE_MARK("control: a destroy waits for a take");
		changed_.wait([&] { return !snapshot->taking(); }, 0, false);
	}
	end_snapshot(std::move(snapshot));
	return {};
}

// Nobody else begins anything with it.
void Control::end_snapshot(Ref<Snapshot> snapshot)
{
	snapshot->events().close();
	snapshot->dismantle();
	{
		Mutex::Guard guard(lock_);
		snapshot->release();
		for (u32 i = 0; i < snapshots_.size(); i++) {
			if (snapshots_[i].get() == snapshot.get()) {
				snapshots_.remove(i);
				break;
			}
		}
		shim_log(SHIM_LOG_INFO, "snapshot %s: destroyed", snapshot->id().text().characters);
	}
	snapshot->close();
}

// --- look-up ---------------------------------------------------------------------------------

Result<void> Control::collect_snapshots(Vector<Uuid> &out)
{
	Mutex::Guard guard(lock_);

	for (const Ref<Snapshot> &snapshot : snapshots_)
		if (snapshot->known())
			TRY(out.push_back(snapshot->id()));
	return {};
}

Result<void> Control::collect_images(const Uuid &id, Vector<ImageInfo> &out)
{
	Mutex::Guard guard(lock_);
	Snapshot *snapshot = find_snapshot(id);

	if (!snapshot)
		return Errno::Srch;
	if (snapshot->state() != Snapshot::State::Taken)
		return Errno::NoDev;
	for (Snapshot::Member &member : snapshot->members()) {
		const shim_bdev_info &origin = member.tracker->info();
		TRY(out.push_back({{origin.major, origin.minor},
				   {member.image->major(), member.image->minor()}}));
	}
	return {};
}

Result<Ref<EventQueue>> Control::events(const Uuid &id)
{
	Mutex::Guard guard(lock_);
	Snapshot *snapshot = find_snapshot(id);

	if (!snapshot)
		return Errno::Srch;
	return Ref<EventQueue>(snapshot->events());
}

} // namespace blksnap
