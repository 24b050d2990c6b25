// SPDX-License-Identifier: GPL-2.0
//
// Control: opening the node and passing requests on.
#include <blksnap/control.hpp>

#include "unique_fd.hpp"

#include <blksnap/error.hpp>

#include <blksnap.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <memory>
#include <utility>

namespace blksnap
{

namespace
{

constexpr std::string_view kLoad = "load the module with modprobe blksnap";

constexpr std::array kOpenFailures{
	KnownFailure{ENOENT, "No such file or directory", kLoad},
	KnownFailure{ENXIO, "No such device or address", kLoad},
	KnownFailure{ENODEV, "No such device", kLoad},
};

} // namespace

std::string Version::to_string() const
{
	return std::to_string(major) + "." + std::to_string(minor) + "." +
	       std::to_string(revision) + "." + std::to_string(build);
}

Control::Control(Ioctl ioctl) : ioctl_{std::move(ioctl)} {}

Control Control::open()
{
	const auto fd = std::make_shared<UniqueFd>(::open(kPath, O_RDWR | O_CLOEXEC));
	if (!*fd)
		fail(errno, "cannot open", kPath, kOpenFailures);
	return Control{[fd](unsigned long number, void *argument) {
		const int result = ioctl(fd->get(), number, argument);
		return result < 0 ? -errno : result;
	}};
}

Version Control::version() const
{
	blk_snap_version argument{};
	if (const int result = request(IOCTL_BLK_SNAP_VERSION, &argument); result < 0)
		fail(-result, "cannot read the version of", "the module");
	return {argument.major, argument.minor, argument.revision, argument.build};
}

} // namespace blksnap
