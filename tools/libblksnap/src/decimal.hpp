// SPDX-License-Identifier: GPL-2.0
//
// Strict reading of decimal numbers: digits only, nothing before or after, no overflow.
#ifndef BLKSNAP_DECIMAL_HPP
#define BLKSNAP_DECIMAL_HPP

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>
#include <utility>

namespace blksnap
{

template <std::unsigned_integral T> std::optional<T> parse_decimal(std::string_view text)
{
	T value{};
	const auto *end = text.data() + text.size();
	const auto [rest, error] = std::from_chars(text.data(), end, value);
	if (error != std::errc{} || rest != end)
		return std::nullopt;
	return value;
}

// Reads FIRST:SECOND.
template <std::unsigned_integral T>
std::optional<std::pair<T, T>> parse_decimal_pair(std::string_view text)
{
	const auto colon = text.find(':');
	if (colon == std::string_view::npos)
		return std::nullopt;
	const auto first = parse_decimal<T>(text.substr(0, colon));
	const auto second = parse_decimal<T>(text.substr(colon + 1));
	if (!first || !second)
		return std::nullopt;
	return std::pair{*first, *second};
}

} // namespace blksnap

#endif
