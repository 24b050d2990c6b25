// SPDX-License-Identifier: GPL-2.0
//
// A snapshot of one device, held until a key is pressed, with its events.
//
//   hold /dev/sda1 /mnt/store/diff
#include <blksnap/file_extents.hpp>
#include <blksnap/snapshot_session.hpp>

#include <cstdio>
#include <exception>

namespace
{

void report(const blksnap::Event &event)
{
	if (const auto *low = std::get_if<blksnap::LowFreeSpace>(&event.data))
		std::printf("storage for %llu sectors is wanted\n",
			    static_cast<unsigned long long>(low->requested_sectors));
	if (const auto *lost = std::get_if<blksnap::Corrupted>(&event.data))
		std::printf("the image is lost: error %d\n", lost->error);
}

void hold(const char *device_argument, const char *storage_file)
{
	const auto device = blksnap::resolve_device(device_argument);
	const auto storage = blksnap::find_file_extents(storage_file, blksnap::ExtentUse::Storage);

	blksnap::SnapshotSession session{blksnap::Control::open(), {&device, 1}, report};
	session.append_storage(storage.device, storage.ranges);
	session.take();
	std::printf("%s shows %s; press Enter to end\n", session.image_of(device).path().c_str(),
		    device_argument);
	std::getchar();
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 3) {
		std::fprintf(stderr, "usage: hold DEVICE STORAGE-FILE\n");
		return 1;
	}
	try {
		hold(argv[1], argv[2]);
	} catch (const std::exception &error) {
		std::fprintf(stderr, "hold: %s\n", error.what());
		return 1;
	}
}
