// SPDX-License-Identifier: GPL-2.0
//
// The tracked devices; and, with arguments, sectors of one that the next backup shall copy.
//
//   trackers
//   trackers /dev/sda1 2048:8
#include <blksnap/tracker.hpp>

#include <cstdio>
#include <exception>

namespace
{

void list(const blksnap::Control &control)
{
	for (const auto &tracker : blksnap::collect_trackers(control))
		std::printf("%s: %u blocks of %u bytes, number %u of generation %s\n",
			    blksnap::device_name(tracker.device).c_str(), tracker.block_count,
			    tracker.block_size_bytes, unsigned{tracker.snapshot_number},
			    tracker.generation.to_string().c_str());
}

void mark(const blksnap::Control &control, const char *argument, const char *range)
{
	const auto device = blksnap::resolve_device(argument);
	const auto sectors = blksnap::SectorRange::parse(range);

	if (!blksnap::find_tracker(control, device.id)) {
		std::printf("%s is not tracked: all of it will be copied\n", argument);
		return;
	}
	blksnap::mark_dirty(control, device, {&sectors, 1});
	std::printf("%s of %s will be copied\n", range, argument);
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 1 && argc != 3) {
		std::fprintf(stderr, "usage: trackers [DEVICE SECTOR:COUNT]\n");
		return 1;
	}
	try {
		const auto control = blksnap::Control::open();
		if (argc == 1)
			list(control);
		else
			mark(control, argv[1], argv[2]);
	} catch (const std::exception &error) {
		std::fprintf(stderr, "trackers: %s\n", error.what());
		return 1;
	}
}
