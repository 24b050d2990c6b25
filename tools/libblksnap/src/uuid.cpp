// SPDX-License-Identifier: GPL-2.0
//
// Uuid: text to bytes and back.
#include <blksnap/uuid.hpp>

#include <blksnap/error.hpp>

#include <cerrno>
#include <optional>

namespace blksnap
{

namespace
{

constexpr std::size_t kTextLength = 36;

bool dash_expected_at(std::size_t position)
{
	return position == 8 || position == 13 || position == 18 || position == 23;
}

std::optional<unsigned> digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return std::nullopt;
}

std::optional<Uuid> try_parse(std::string_view text)
{
	if (text.size() != kTextLength)
		return std::nullopt;
	Uuid uuid;
	std::size_t digits = 0;
	for (std::size_t position = 0; position < text.size(); position++) {
		if (dash_expected_at(position)) {
			if (text[position] != '-')
				return std::nullopt;
			continue;
		}
		const auto value = digit_value(text[position]);
		if (!value)
			return std::nullopt;
		auto &byte = uuid.bytes[digits++ / 2];
		byte = static_cast<std::uint8_t>(byte << 4 | *value);
	}
	return uuid;
}

} // namespace

Uuid Uuid::parse(std::string_view text)
{
	if (const auto uuid = try_parse(text))
		return *uuid;
	throw Error{EINVAL, "cannot use id", text, "it is not a UUID",
		    "list snapshots with blksnap snapshot_collect, generations with blksnap "
		    "tracker_collect"};
}

std::string Uuid::to_string() const
{
	static constexpr char kDigits[] = "0123456789abcdef";
	std::string text;
	text.reserve(kTextLength);
	for (const auto byte : bytes) {
		if (dash_expected_at(text.size()))
			text += '-';
		text += kDigits[byte >> 4];
		text += kDigits[byte & 15];
	}
	return text;
}

} // namespace blksnap
