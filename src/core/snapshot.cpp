// SPDX-License-Identifier: GPL-2.0
#include <blksnap/core/snapshot.hpp>
#include <blksnap/core/cut.hpp>

namespace blksnap
{

Result<Ref<Snapshot>> Snapshot::create(const shim_params &params, u32 devices)
{
	auto snapshot = TRY(try_new<Snapshot>(Gfp::Kernel, Uuid::random()));

	TRY(snapshot->members_.reserve(devices));
	snapshot->events_ = TRY(EventQueue::create(snapshot->id(), devices));
	snapshot->storage_ =
		TRY(DiffStorage::create(*snapshot->events_, params.diff_storage_minimum));
	return Ref<Snapshot>::adopt(std::move(snapshot));
}

Snapshot::~Snapshot()
{
	ASSERT(members_.empty() && !watch_);
}

void Snapshot::add_member(Tracker &tracker, shim_bdev *bdev)
{
	tracker.holder = this;
	members_.push_reserved(Member(tracker, bdev));
}

void Snapshot::release()
{
	for (Member &member : members_)
		member.tracker->holder = nullptr;
}

void Snapshot::close()
{
	for (Member &member : members_)
		shim_bdev_close(member.bdev);
	members_.clear();
}

Result<void> Snapshot::prepare(const shim_params &params)
{
	const DiffArea::Limits limits{
		.reserve_pages = max(params.free_diff_buffer_pool_size, 1u),
		.limit_pages = params.cow_memory_limit_kib / (kPageBytes / 1024),
		.timeout_ms = params.cow_timeout_ms,
	};

	for (Member &member : members_) {
		member.area = TRY(DiffArea::create(*member.tracker, member.bdev, *storage_,
						   *events_, limits));
		member.image =
			TRY(Image::create(*member.area, *storage_, member.tracker->info().sectors));
	}
	watch_ms_ = min(1000u, max(params.cow_timeout_ms / 4, 10u));
	watch_ = shim_work_create(SHIM_WORK_WATCH, this, "watch");
	if (!watch_)
		return Errno::NoMem;
	// From before the cut on: thawing writes to the devices, and such a write may be held up, too.
	watching_.store(true, Order::Relaxed);
	shim_work_queue_delayed(watch_, watch_ms_);
	return {};
}

Result<void> Snapshot::cut(const shim_params &params)
{
	u32 begun = 0;
	Result<void> result;

	for (; begun < members_.size() && result.ok(); begun += result.ok())
		result = members_[begun].tracker->cbt().begin_switch();
	if (result.ok()) {
		// Every writer marks both maps from here on.
		shim_rcu_synchronize();
		for (Member &member : members_)
			member.tracker->cbt().copy();
		Cut cut(members_, params);
		result = cut.run();
		held_up_us_ = cut.held_up_us();
	}
	for (u32 i = 0; i < begun && !result.ok(); i++)
		members_[i].tracker->cbt().drop_switch();
	free_retired_maps();
	return result;
}

void Snapshot::free_retired_maps()
{
	bool any = false;

	for (Member &member : members_)
		any |= member.tracker->cbt().has_retired();
	if (!any)
		return;
	shim_rcu_synchronize();
	for (Member &member : members_)
		member.tracker->cbt().free_retired();
}

Result<void> Snapshot::show()
{
	for (Member &member : members_) {
		TRY(member.image->show());
		shim_log(SHIM_LOG_INFO, "snapshot %s: blksnap-image%u shows %s",
			 id_.text().characters, member.image->minor(), member.tracker->info().name);
	}
	return {};
}

// Dead first: parked writes go, image requests fail, so that dirty pages of a mounted image end
// and its device can be removed. Then wait for what is below us. The readable maps go, too: while this
// snapshot is neither Created nor Taken nobody else asks for them but in an RCU read section.
void Snapshot::dismantle()
{
	if (watch_) {
		watching_.store(false, Order::Relaxed);
		shim_work_destroy(watch_);
		watch_ = nullptr;
	}
	for (Member &member : members_)
		if (member.area)
			member.area->end();
	for (Member &member : members_)
		if (member.image)
			member.image->remove();
	for (Member &member : members_) {
		member.tracker->publish_area(nullptr);
		member.tracker->cbt().hide_readable();
	}
	shim_rcu_synchronize();
	for (Member &member : members_) {
		member.tracker->cbt().free_retired();
		if (member.area)
			member.area->drain();
	}
	storage_->drain();
	for (Member &member : members_) {
		member.image.reset();
		member.area.reset();
	}
}

void Snapshot::run_watch()
{
	for (Member &member : members_)
		member.area->tick(watch_ms_);
	if (watching_.load(Order::Relaxed))
		shim_work_queue_delayed(watch_, watch_ms_);
}

} // namespace blksnap
