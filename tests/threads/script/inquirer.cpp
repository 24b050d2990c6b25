// SPDX-License-Identifier: GPL-2.0
//
// Inquirer: asks for all there is, in the middle of everything, and for much that there is not.
#include <script/ioctl.hpp>
#include <script/script.hpp>

#include <machine/machine.hpp>

namespace threads
{

namespace
{

void ask_about(const ioctl::Id &id)
{
	std::vector<blk_snap_image_info> images;
	u32 code;
	(void)ioctl::collect_images(id, images);
	(void)ioctl::wait_event(id, 2, code);
}

void expect(long result, long expected, const char *what)
{
	constexpr long kNoMem = -12;
	if (result != expected && result != kNoMem)
		fail("%s gives %ld, not %ld", what, result, expected);
}

void ask_badly()
{
	ioctl::Id nobody{};
	blk_snap_version version;
	expect(ioctl::call(IOCTL_BLK_SNAP_VERSION, &version), 0, "the version");
	expect(ioctl::call(IOCTL_BLK_SNAP_VERSION, nullptr), -14, "the version to nowhere");
	expect(ioctl::call(IOCTL_BLK_SNAP_VERSION + 32, &version), -25, "an unknown request");
	expect(ioctl::take(nobody), -3, "a take of nothing");
	expect(ioctl::destroy(nobody), -19, "a destroy of nothing");
	expect(ioctl::create({}, nobody), -22, "a snapshot of nothing");
	expect(ioctl::append(nobody, {kDiskMajor, kOrigins}, {{0, 8}}), -3, "storage for nobody");
	expect(ioctl::remove_tracker({kDiskMajor, 99}), -6, "a removal of nothing");
}

} // namespace

void run_inquirer(Stop &stop)
{
	Beat beat("the inquirer");
	std::vector<blk_snap_cbt_info> trackers;
	std::vector<ioctl::Id> ids;

	while (!stop.load(std::memory_order_relaxed)) {
		beat.alive();
		(void)ioctl::collect_trackers(trackers);
		(void)ioctl::collect_snapshots(ids);
		for (const ioctl::Id &id : ids)
			ask_about(id);
		ask_badly();
		const auto origin = static_cast<u32>(below(kOrigins));
		(void)ioctl::mark_dirty({kDiskMajor, origin},
					{below(kOriginSectors), 1 + below(20)});
		if (one_in(20)) // refused while a snapshot holds it
			(void)ioctl::remove_tracker({kDiskMajor, origin});
		pause_us(2000);
	}
}

} // namespace threads
