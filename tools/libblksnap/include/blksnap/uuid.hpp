// SPDX-License-Identifier: GPL-2.0
//
// Uuid: the name of a snapshot, or of a generation of a CBT map.
#ifndef BLKSNAP_UUID_HPP
#define BLKSNAP_UUID_HPP

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace blksnap
{

struct Uuid {
	std::array<std::uint8_t, 16> bytes{};

	// Reads 8-4-4-4-12 hexadecimal digits of either case. Throws Error.
	static Uuid parse(std::string_view text);

	// The same form in lower case.
	std::string to_string() const;

	auto operator<=>(const Uuid &) const = default;
};

} // namespace blksnap

#endif
