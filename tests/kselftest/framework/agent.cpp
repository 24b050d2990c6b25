// SPDX-License-Identifier: GPL-2.0
#include "agent.hpp"

#include "block_io.hpp"
#include "snapshot.hpp"

#include <csignal>
#include <optional>

namespace kselftest
{

namespace
{

class Backup
{
public:
	Backup(const Disk &origin, const Disk &store) : origin_(origin), store_(store) {}

	void make(Step step);

private:
	void wait_event();

	const Disk &origin_, &store_;
	std::optional<Control> control_;
	std::optional<BlockFile> image_;
	blk_snap_uuid id_{};
};

void Backup::wait_event()
{
	blk_snap_snapshot_event event{};

	event.id = id_;
	REQUIRE_ERRNO(control_->try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &event), 0);
}

void Backup::make(Step step)
{
	const std::uint64_t half = store_.sectors() / 2;
	const blk_snap_dev store = store_.number();
	blk_snap_version version{};

	switch (step) {
	case Step::Open:
		control_.emplace();
		return;
	case Step::Version:
		REQUIRE_ERRNO(control_->try_call(IOCTL_BLK_SNAP_VERSION, &version), 0);
		return;
	case Step::Create:
		id_ = control_->create({origin_.number()});
		return;
	case Step::WaitEvent:
		wait_event();
		return;
	case Step::Append:
		REQUIRE_ERRNO(control_->try_append(id_, store, {{0, half}}), 0);
		return;
	case Step::Take:
		REQUIRE_ERRNO(control_->try_take(id_), 0);
		return;
	case Step::Collect:
		REQUIRE_EQ(snapshot_ids(*control_).size(), 1u);
		return;
	case Step::CollectImages:
		REQUIRE_EQ(control_->images(id_).size(), 1u);
		return;
	case Step::CollectTrackers:
		REQUIRE_EQ(trackers(*control_).size(), 1u);
		return;
	case Step::ReadMap:
		REQUIRE(!cbt_map(*control_, origin_.number()).empty());
		return;
	case Step::MarkDirty:
		REQUIRE_ERRNO(mark_dirty(*control_, origin_.number(), {{kMarkedBlock * 128, 1}}),
			      0);
		return;
	case Step::AppendMore:
		REQUIRE_ERRNO(control_->try_append(id_, store, {{half, half}}), 0);
		return;
	case Step::OpenImage:
		image_.emplace(Disk("/dev/blksnap-image0"));
		return;
	case Step::Destroy:
		image_.reset();
		REQUIRE_ERRNO(control_->try_destroy(id_), 0);
		return;
	case Step::RemoveTracker:
		REQUIRE_ERRNO(remove_tracker(*control_, origin_.number()), 0);
		return;
	}
}

} // namespace

bool dies(Child &child, double seconds)
{
	const double begin = now();
	child.kill(SIGKILL);
	const int status = child.wait();
	note("it died after %.2f s", now() - begin);
	return status == 256 + SIGKILL && now() - begin < seconds * slowdown();
}

Agent::Agent(Step last, const Disk &origin, const Disk &store)
	: child_([&]() -> int {
		  Backup backup(origin, store);
		  for (const Step step : kSteps) {
			  backup.make(step);
			  if (step == last)
				  break;
		  }
		  arrival_.tell_and_stay();
	  })
{
	arrival_.wait_for();
}

} // namespace kselftest
