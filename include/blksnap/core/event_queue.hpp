// SPDX-License-Identifier: GPL-2.0
//
// Event queue: what the owner of a snapshot is told.
//
// Events come from completions and may not allocate, so the room for all that can be pending is
// made in create(): one request for space, and one loss per device. The queue is reference counted
// because a waiter may still be inside when its snapshot is gone: close() wakes it and does not
// wait for it.
#pragma once

#include <blksnap/base/lock.hpp>
#include <blksnap/base/vector.hpp>
#include <blksnap/core/uuid.hpp>

namespace blksnap
{

struct Event {
	enum class Kind : u32 { LowFreeSpace = 0, Corrupted = 1 }; // the codes of the ioctl

	Kind kind = Kind::LowFreeSpace;
	u64 time_label_ns = 0;	   // when it was posted
	u64 requested_sectors = 0; // LowFreeSpace
	u32 device_major = 0;	   // Corrupted: the original device
	u32 device_minor = 0;
	Errno error = Errno::None;
	u32 round = 0; // of the queue: how often corrupted ones were forgotten before
};

class EventQueue final : public RefCounted
{
public:
	// `devices`: how many can be reported corrupted. Context: process.
	static Result<Ref<EventQueue>> create(const Uuid &snapshot, u32 devices);

	// Whose events these are; for the log.
	const Uuid &snapshot() const { return snapshot_; }

	// One request is pending at most: a second one before the first was read is merged into it
	// and asks for the larger size. Context: any.
	void post_low_free_space(u64 requested_sectors);
	// Each device is reported once between two calls of forget_corrupted(); more are ignored.
	// Context: any.
	void post_corrupted(u32 major, u32 minor, Errno error);

	// The oldest event; each goes to one waiter. `timeout_ms` 0 does not wait. ENOENT: none came
	// in time. EINTR: a signal. ESRCH: closed. The caller holds a Ref. Context: process.
	Result<Event> wait(u32 timeout_ms);
	// Gives an event back that could not be delivered. Context: any.
	void put_back(const Event &event);

	// A take begins: what was said of the images of an earlier one, which failed, is not said of
	// the images to come. Context: any.
	void forget_corrupted();

	// Wakes all waiters, refuses new ones, drops what is pending. Context: any.
	void close();

private:
	enum class State : u8 { Unused, Pending, Delivered };
	struct Slot {
		State state = State::Unused;
		Event event;
	};
	struct Queue {
		bool closed = false;
		u32 round = 0;
		Slot low_free_space;
		Vector<Slot> corrupted; // one slot per device, taken in order of posting
	};
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp gfp, Args &&...args);

	EventQueue(const Uuid &snapshot) : snapshot_(snapshot) {}
	static Slot *oldest(Queue &queue);
	static Slot *slot_of(Queue &queue, u32 major, u32 minor);
	// ENOENT if there is none now.
	Result<Event> take();

	const Uuid snapshot_;
	Guarded<Queue, LockRank::Events> queue_{"blksnap event queue"};
	WaitQueue readers_{"blksnap event readers"};
};

} // namespace blksnap
