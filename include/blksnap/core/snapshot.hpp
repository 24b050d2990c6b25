// SPDX-License-Identifier: GPL-2.0
//
// Snapshot: several devices cut at one instant.
//
//     Creating ──> Created ── take ──> Taking ──> Taken ── destroy ──> Ending
//                     ^                   │
//                     └────── failed ─────┘   (or Created ── destroy ──> Ending)
//
// The state changes under the control's mutex; what takes long (settling, freezing, draining) happens
// outside of it, while Creating, Taking or Ending keep others away.
#pragma once

#include <blksnap/core/diff_area.hpp>
#include <blksnap/core/diff_storage.hpp>
#include <blksnap/core/disk.hpp>
#include <blksnap/core/image.hpp>

namespace blksnap
{

class Snapshot final : public RefCounted
{
public:
	enum class State : u32 { Creating, Created, Taking, Taken, Ending };

	struct Member {
		Tracker *tracker; // cannot go while held
		shim_bdev *bdev;
		Own<DiffArea> area;
		Own<Image> image;

		Member(Tracker &held, shim_bdev *open) : tracker(&held), bdev(open) {}
	};

	static Result<Ref<Snapshot>> create(const shim_params &params, u32 devices);
	Snapshot(const Snapshot &) = delete;
	Snapshot &operator=(const Snapshot &) = delete;
	// Needs: dismantled, released.
	~Snapshot();

	const Uuid &id() const { return id_; }
	EventQueue &events() const { return *events_; }
	DiffStorage &storage() const { return *storage_; }
	Vector<Member> &members() { return members_; }

	// --- under the control's mutex --------------------------------------------------------
	State state() const { return static_cast<State>(state_.load(Order::Acquire)); }
	bool taking() const { return state() == State::Taking; }
	// Users can name it.
	bool known() const { return state() != State::Creating && state() != State::Ending; }
	void set_state(State state) { state_.store(static_cast<u32>(state), Order::Release); }
	// Its images exist or come into being: what lies under it must not be overwritten by stores.
	bool covering = false;
	// Room was made in create(). Takes over `bdev`.
	void add_member(Tracker &tracker, shim_bdev *bdev);
	// Lets go of the trackers.
	void release();

	// --- outside of it --------------------------------------------------------------------
	// Areas and images for all members, and the next readable maps. Nothing is seen yet.
	Result<void> prepare(const shim_params &params);
	// Freezes, closes the gates, waits, switches, opens, thaws. On failure nothing has changed.
	Result<void> cut(const shim_params &params);
	// How long the cut held writers up.
	u64 held_up_us() const { return held_up_us_; }
	// Shows the images.
	Result<void> show();
	// Images, areas and readable maps end; undoes prepare() and what came after it. Bounded by
	// lower devices. Needs: Taking or Ending, or nobody else is there.
	void dismantle();

	// Closes the devices, after release(). Closing may sync them, so better without lock.
	void close();

	void run_watch();

private:
	Snapshot(const Uuid &id) : id_(id) {}
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp, Args &&...);
	void free_retired_maps();

	const Uuid id_;
	Atomic<u32> state_{static_cast<u32>(State::Creating)};
	Ref<EventQueue> events_;
	Own<DiffStorage> storage_;
	Vector<Member> members_;
	shim_work *watch_ = nullptr;
	u32 watch_ms_ = 0;
	u64 held_up_us_ = 0;
	Atomic<bool> watching_;
};

} // namespace blksnap
