// SPDX-License-Identifier: GPL-2.0
//
// Control: the way to the module, its control node.
//
// Requests may be made from several threads at once: the module orders them.
#ifndef BLKSNAP_CONTROL_HPP
#define BLKSNAP_CONTROL_HPP

#include <cstdint>
#include <functional>
#include <string>

namespace blksnap
{

struct Version {
	std::uint16_t major = 0;
	std::uint16_t minor = 0;
	std::uint16_t revision = 0;
	std::uint16_t build = 0;

	std::string to_string() const;
};

class Control final
{
public:
	// Makes one request. Return: what ioctl() returns, or a negative errno.
	using Ioctl = std::function<int(unsigned long request, void *argument)>;

	static constexpr const char *kPath = "/dev/blksnap";

	// Throws Error, which says how to load the module if that is what is missing.
	static Control open();

	// For tests: another world behind the same requests.
	explicit Control(Ioctl ioctl);

	// Return: what ioctl() returns, or a negative errno.
	int request(unsigned long number, void *argument) const { return ioctl_(number, argument); }

	Version version() const;

private:
	Ioctl ioctl_;
};

} // namespace blksnap

#endif
