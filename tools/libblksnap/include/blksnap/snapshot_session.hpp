// SPDX-License-Identifier: GPL-2.0
//
// SnapshotSession: a snapshot that lives as long as this object.
//
// Its thread waits for the events of the snapshot and hands each to the function given. The first
// request for storage is queued when the snapshot is created, so it arrives at once.
#ifndef BLKSNAP_SNAPSHOT_SESSION_HPP
#define BLKSNAP_SNAPSHOT_SESSION_HPP

#include <blksnap/event.hpp>
#include <blksnap/snapshot.hpp>

#include <functional>
#include <span>
#include <thread>

namespace blksnap
{

class SnapshotSession final
{
public:
	// Called from the thread of the session; must not throw and must not end the session.
	using OnEvent = std::function<void(const Event &)>;

	// Creates the snapshot; it is not taken yet. Throws Error.
	SnapshotSession(Control control, std::span<const Device> devices, OnEvent on_event = {});

	SnapshotSession(const SnapshotSession &) = delete;
	SnapshotSession &operator=(const SnapshotSession &) = delete;

	// Destroys the snapshot, which wakes the thread, and waits for the thread.
	~SnapshotSession();

	const Uuid &id() const { return id_; }

	void append_storage(const Device &storage, std::span<const SectorRange> ranges);
	void take();
	Image image_of(const Device &original) const;

private:
	void watch(std::stop_token stop) const;

	Control control_;
	OnEvent on_event_;
	Uuid id_;
	std::jthread watcher_;
};

} // namespace blksnap

#endif
