// SPDX-License-Identifier: GPL-2.0
//
// Uuid: 16 random bytes that name a snapshot or a generation of a CBT map.
#pragma once

#include <blksnap/base/types.hpp>
#include <blksnap/port/control.h>

namespace blksnap
{

struct Uuid {
	struct Text {
		char characters[37] = {};
	};

	u8 bytes[16] = {};

	// Version 4 (random), variant of RFC 4122. Context: process.
	static Uuid random()
	{
		Uuid uuid;
		shim_random_fill(uuid.bytes, sizeof(uuid.bytes));
		uuid.bytes[6] = static_cast<u8>((uuid.bytes[6] & 0x0f) | 0x40);
		uuid.bytes[8] = static_cast<u8>((uuid.bytes[8] & 0x3f) | 0x80);
		return uuid;
	}

	// As people and logs write it: 8-4-4-4-12 hexadecimal digits.
	Text text() const
	{
		constexpr char digits[] = "0123456789abcdef";
		Text text;
		char *to = text.characters;

		for (u32 i = 0; i < sizeof(bytes); i++) {
			if (i == 4 || i == 6 || i == 8 || i == 10)
				*to++ = '-';
			*to++ = digits[bytes[i] >> 4];
			*to++ = digits[bytes[i] & 15];
		}
		return text;
	}

	bool operator==(const Uuid &) const = default;
};

static_assert(sizeof(Uuid) == 16 && alignof(Uuid) == 1);

} // namespace blksnap
