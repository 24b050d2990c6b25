// SPDX-License-Identifier: GPL-2.0
//
// Event queue: posting without memory, waiting without holding anybody up.
#include <blksnap/core/event_queue.hpp>
#include <blksnap/base/mark.hpp>

#include <blksnap/port/control.h>

namespace blksnap
{

Result<Ref<EventQueue>> EventQueue::create(const Uuid &snapshot, u32 devices)
{
	// Locks cannot be moved and nothing is allocated under one: room first, queue then.
	Vector<Slot> room;
	if (devices > 0)
		TRY(room.reserve(devices));
	for (u32 i = 0; i < devices; i++)
		room.push_reserved({});
	auto queue = TRY(try_new<EventQueue>(Gfp::Kernel, snapshot));
	queue->queue_.with([&](Queue &inside) { inside.corrupted.swap(room); });
	return Ref<EventQueue>::adopt(std::move(queue));
}

void EventQueue::post_low_free_space(u64 requested_sectors)
{
	queue_.with([&](Queue &queue) {
		if (queue.closed)
			return;
		Slot &slot = queue.low_free_space;
		const bool merged = slot.state == State::Pending;
		const u64 already = merged ? slot.event.requested_sectors : 0;
		if (!merged)
			slot.event.time_label_ns = shim_clock_ns();
		slot.event.requested_sectors = max(already, requested_sectors);
		slot.state = State::Pending;
	});
	readers_.wake_all();
}

void EventQueue::post_corrupted(u32 major, u32 minor, Errno error)
{
	queue_.with([&](Queue &queue) {
		Slot *slot = slot_of(queue, major, minor);
		if (queue.closed || slot->state != State::Unused)
			return;
		slot->event = {Event::Kind::Corrupted,
			       shim_clock_ns(),
			       0,
			       major,
			       minor,
			       error,
			       queue.round};
		slot->state = State::Pending;
	});
	readers_.wake_all();
}

Result<Event> EventQueue::wait(u32 timeout_ms)
{
	Result<Event> taken = take();
	if (taken.error() != Errno::NoEnt || timeout_ms == 0)
		return taken;
	Event event;
	Errno outcome = Errno::NoEnt;
	// Keeps what it has taken if it is called once more.
	auto done = [&] {
		if (outcome != Errno::NoEnt)
			return true;
		Result<Event> attempt = take();
		outcome = attempt.error();
		if (attempt.ok())
			event = attempt.value();
		return outcome != Errno::NoEnt;
	};
	const int waited = readers_.wait(done, timeout_ms, true);
	if (outcome == Errno::None)
		return event;
	if (outcome != Errno::NoEnt)
		return outcome;
	const bool timed_out = from_port(waited) == Errno::TimedOut;
	return timed_out ? Errno::NoEnt : Errno::Intr;
}

void EventQueue::put_back(const Event &event)
{
	const bool low_free_space = event.kind == Event::Kind::LowFreeSpace;
	queue_.with([&](Queue &queue) {
		const bool stale = !low_free_space && event.round != queue.round;
		if (queue.closed || stale)
			return;
		Slot *slot = low_free_space
				     ? &queue.low_free_space
				     : slot_of(queue, event.device_major, event.device_minor);
		COVERAGE_MARK("event_queue: an event comes back");
		if (slot->state == State::Pending) {
			slot->event.requested_sectors =
				max(slot->event.requested_sectors, event.requested_sectors);
			return;
		}
		slot->event = event;
		slot->state = State::Pending;
	});
	readers_.wake_all();
}

void EventQueue::forget_corrupted()
{
	queue_.with([](Queue &queue) {
		queue.round++;
		for (Slot &slot : queue.corrupted)
			slot = {};
	});
}

void EventQueue::close()
{
	queue_.with([](Queue &queue) { queue.closed = true; });
	readers_.wake_all();
}

Result<Event> EventQueue::take()
{
	return queue_.with([](Queue &queue) -> Result<Event> {
		if (queue.closed)
			return Errno::Srch;
		Slot *slot = oldest(queue);
		if (!slot)
			return Errno::NoEnt;
		slot->state = State::Delivered;
		return slot->event;
	});
}

EventQueue::Slot *EventQueue::oldest(Queue &queue)
{
	Slot *found = nullptr;
	const auto consider = [&](Slot &slot) {
		if (slot.state != State::Pending)
			return;
		if (!found || slot.event.time_label_ns < found->event.time_label_ns)
			found = &slot;
	};
	consider(queue.low_free_space);
	for (Slot &slot : queue.corrupted)
		consider(slot);
	return found;
}

// The slot of this device, or the first unused one. There is one for each device.
EventQueue::Slot *EventQueue::slot_of(Queue &queue, u32 major, u32 minor)
{
	for (Slot &slot : queue.corrupted) {
		const bool same =
			slot.event.device_major == major && slot.event.device_minor == minor;
		if (slot.state == State::Unused || same)
			return &slot;
	}
	ASSERT(!"more devices than the queue was made for");
	return nullptr;
}

} // namespace blksnap
