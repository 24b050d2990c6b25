// SPDX-License-Identifier: GPL-2.0
//
// Uuid: version and variant bits, equality.
#include <blksnap/core/uuid.hpp>

#include <gtest/gtest.h>

using namespace blksnap;

TEST(uuid, random_ones_are_version_4_and_differ)
{
	Uuid last = Uuid::random();
	for (int i = 0; i < 1000; i++) {
		const Uuid uuid = Uuid::random();
		EXPECT_EQ(uuid.bytes[6] >> 4, 4);
		EXPECT_EQ(uuid.bytes[8] >> 6, 2);
		EXPECT_FALSE(uuid == last);
		last = uuid;
	}
}

TEST(uuid, equal_only_in_all_bytes)
{
	const Uuid uuid = Uuid::random();
	for (int i = 0; i < 16; i++) {
		Uuid other = uuid;
		EXPECT_TRUE(other == uuid);
		other.bytes[i] ^= 1;
		EXPECT_TRUE(other != uuid);
	}
	EXPECT_TRUE(Uuid{} == Uuid{});
}
