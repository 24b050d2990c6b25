// SPDX-License-Identifier: GPL-2.0
//
// The fake module behind the node's own path, for whole programs: a library to preload that answers
// what they ask of /dev/blksnap. Each process has a world of its own:
//
//   4095:1   tracked, 8 blocks of 64 KiB; blocks 1, 2 and 5 changed since 0, and 5 since 1
//   00000000-0000-0000-0000-000000000001   a taken snapshot of 8:1
//
// The images are the file that BLKSNAP_FAKE_IMAGE names.
#include "fake_module.hpp"

#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <dlfcn.h>
#include <fcntl.h>

namespace
{

using blksnap::test::FakeModule;

constexpr std::string_view kImagePrefix = "/dev/blksnap-image";

struct World {
	FakeModule module;
	blksnap::Control control;
	int node = -1;

	World() : control{module.control()}
	{
		blk_snap_cbt_info tracker{};
		tracker.dev_id = {4095, 1};
		tracker.blk_size = 65536;
		tracker.device_capacity = 8 * 65536;
		tracker.blk_count = 8;
		tracker.generation_id.b[0] = 0xab;
		tracker.snap_number = 2;
		module.trackers.push_back(tracker);
		module.cbt_map = {0, 1, 1, 0, 0, 2, 0, 0};
		module.add_snapshot(1, 1);
	}

	// The module asks for the first portion before CREATE returns.
	int request(unsigned long number, void *argument)
	{
		const int result = control.request(number, argument);
		if (number == IOCTL_BLK_SNAP_SNAPSHOT_CREATE && result == 0)
			ask_for_storage();
		return result;
	}

	void ask_for_storage()
	{
		const blk_snap_event_low_free_space data{2097152};
		blk_snap_snapshot_event event{};
		event.time_label = 1;
		std::memcpy(event.data, &data, sizeof(data));
		module.events.push_back(event);
	}
};

// Never destroyed: the program's threads may ask until its very end.
World &world()
{
	static World &only = *new World;
	return only;
}

template <typename Function> Function *next(const char *name)
{
	return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

using Open = int(const char *, int, ...);
using Ioctl = int(int, unsigned long, ...);

} // namespace

extern "C" int open(const char *path, int flags, ...)
{
	static Open *const real = next<Open>("open");
	va_list arguments;
	va_start(arguments, flags);
	const auto mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);

	if (std::string_view{path} == blksnap::Control::kPath)
		return world().node = real("/dev/null", flags);
	if (const char *image = getenv("BLKSNAP_FAKE_IMAGE");
	    image && std::string_view{path}.starts_with(kImagePrefix))
		return real(image, flags, mode);
	return real(path, flags, mode);
}

extern "C" int ioctl(int fd, unsigned long number, ...)
{
	static Ioctl *const real = next<Ioctl>("ioctl");
	va_list arguments;
	va_start(arguments, number);
	auto *const argument = va_arg(arguments, void *);
	va_end(arguments);

	if (fd != world().node)
		return real(fd, number, argument);
	const int result = world().request(number, argument);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}
