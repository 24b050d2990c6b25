// SPDX-License-Identifier: GPL-2.0
//
// A snapshot of one device, held until Enter is pressed, with its events.
//
//   session /dev/sda1 /dev/sdc 2048:2097152
#include <blksnap/snapshot_session.hpp>

#include <cstdio>
#include <exception>

namespace
{

// Called from the thread of the session.
void report(const blksnap::Event &event)
{
	if (const auto *low = std::get_if<blksnap::LowFreeSpace>(&event.data))
		std::printf("storage for %llu sectors is wanted\n",
			    static_cast<unsigned long long>(low->requested_sectors));
	if (const auto *lost = std::get_if<blksnap::Corrupted>(&event.data))
		std::printf("the image is lost: error %d\n", lost->error);
	std::fflush(stdout);
}

void hold(const char *origin, const char *storage, const char *range)
{
	const auto device = blksnap::resolve_device(origin);
	const auto sectors = blksnap::SectorRange::parse(range);

	blksnap::SnapshotSession session{blksnap::Control::open(), {&device, 1}, report};
	session.append_storage(blksnap::resolve_device(storage), {&sectors, 1});
	session.take();
	std::printf("%s shows %s; press Enter to end\n", session.image_of(device).path().c_str(),
		    origin);
	std::fflush(stdout);
	std::getchar();
} // The snapshot ends here, whatever happened.

} // namespace

int main(int argc, char **argv)
{
	if (argc != 4) {
		std::fprintf(stderr, "usage: session DEVICE STORAGE-DEVICE SECTOR:COUNT\n");
		return 1;
	}
	try {
		hold(argv[1], argv[2], argv[3]);
	} catch (const std::exception &error) {
		std::fprintf(stderr, "session: %s\n", error.what());
		return 1;
	}
}
