// SPDX-License-Identifier: GPL-2.0
//
// SnapshotSession: the snapshot's life and its event thread.
#include <blksnap/snapshot_session.hpp>

#include <blksnap/error.hpp>

#include <cstdio>
#include <utility>

namespace blksnap
{

namespace
{

// A destroy wakes the waiter at once; this bounds the wait only if the destroy itself failed.
constexpr std::chrono::duration<std::uint32_t, std::milli> kPatience{1000};

} // namespace

SnapshotSession::SnapshotSession(Control control, std::span<const Device> devices, OnEvent on_event)
	: control_{std::move(control)}, on_event_{std::move(on_event)}, id_{create_snapshot(
										control_, devices)}
{
	if (!on_event_)
		return;
	try {
		watcher_ = std::jthread{[this](std::stop_token stop) { watch(std::move(stop)); }};
	} catch (...) {
		destroy_snapshot(control_, id_);
		throw;
	}
}

SnapshotSession::~SnapshotSession()
{
	watcher_.request_stop();
	try {
		destroy_snapshot(control_, id_);
	} catch (const std::exception &error) {
		// A destructor has nobody to tell. Somebody else may have destroyed it before.
		std::fprintf(stderr, "blksnap: %s\n", error.what());
	}
}

void SnapshotSession::append_storage(const Device &storage, std::span<const SectorRange> ranges)
{
	blksnap::append_storage(control_, id_, storage, ranges);
}

void SnapshotSession::take()
{
	take_snapshot(control_, id_);
}

Image SnapshotSession::image_of(const Device &original) const
{
	return find_image(control_, id_, original);
}

void SnapshotSession::watch(std::stop_token stop) const
try {
	while (!stop.stop_requested()) {
		const auto answer = wait_event(control_, id_, kPatience);
		if (const auto *event = std::get_if<Event>(&answer))
			on_event_(*event);
		else if (std::get<NoEvent>(answer) == NoEvent::NotFound)
			return;
	}
} catch (const std::exception &error) {
	std::fprintf(stderr, "blksnap: %s\n", error.what());
}

} // namespace blksnap
