// SPDX-License-Identifier: GPL-2.0
//
// What people type: UUIDs, ranges, device numbers, mount tables.
#include <blksnap/device.hpp>
#include <blksnap/error.hpp>
#include <blksnap/sector_range.hpp>
#include <blksnap/uuid.hpp>

#include "libblksnap/src/mount_point.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <sstream>

namespace blksnap
{

TEST(uuid, survives_a_round_trip_in_the_order_of_its_bytes)
{
	const auto uuid = Uuid::parse("01234567-89aB-cDef-0011-22334455fF66");
	EXPECT_EQ(uuid.bytes[0], 0x01);
	EXPECT_EQ(uuid.bytes[4], 0x89);
	EXPECT_EQ(uuid.bytes[15], 0x66);
	EXPECT_EQ(uuid.to_string(), "01234567-89ab-cdef-0011-22334455ff66");
}

TEST(uuid, refuses_what_is_none)
{
	for (const auto *text :
	     {"", "01234567-89ab-cdef-0011-22334455ff6", "x",
	      "01234567-89ab-cdef-0011-22334455ff666", "0123456789ab-cdef-0011-22334455ff66--",
	      "01234567-89ab-cdef-0011-22334455ff6g", "01234567-89ab-cdef-0011x22334455ff66"})
		EXPECT_THROW(Uuid::parse(text), Error) << text;
}

TEST(sector_range, reads_two_decimal_numbers)
{
	EXPECT_EQ(SectorRange::parse("2048:8"), (SectorRange{2048, 8}));
	EXPECT_EQ(SectorRange::parse("18446744073709551615:0"), (SectorRange{UINT64_MAX, 0}));
	EXPECT_EQ(SectorRange::parse("2048:8").to_string(), "2048:8");
}

TEST(sector_range, refuses_everything_else)
{
	for (const auto *text : {"", ":", "1", "1:", ":1", "-1:1", "+1:1", " 1:1", "1:1 ", "1:1:1",
				 "0x10:1", "18446744073709551616:1", "18446744073709551615:1"})
		EXPECT_THROW(SectorRange::parse(text), Error) << text;
}

TEST(sector_range, merging_sorts_joins_and_drops_empty_ones)
{
	EXPECT_EQ(merged({{100, 8}, {0, 8}, {8, 8}, {50, 0}, {104, 8}, {101, 1}}),
		  (std::vector<SectorRange>{{0, 16}, {100, 12}}));
	EXPECT_TRUE(merged({}).empty());
	EXPECT_EQ(total_sectors({{0, 16}, {100, 12}}), 28u);
}

TEST(device, is_named_by_number)
{
	EXPECT_EQ(DeviceId::try_parse("253:7"), (DeviceId{253, 7}));
	for (const auto *text : {"", "8", "8:", ":8", "8:1x", "4294967296:0", "/dev/sda"})
		EXPECT_FALSE(DeviceId::try_parse(text)) << text;
	EXPECT_EQ(resolve_device("253:7").id, (DeviceId{253, 7}));
}

TEST(device, that_is_none_is_refused_with_what_to_do)
{
	try {
		resolve_device("/dev/null");
		FAIL() << "a character device was accepted";
	} catch (const Error &error) {
		EXPECT_EQ(error.code(), ENOTBLK);
		EXPECT_NE(std::string{error.what()}.find("/dev/null: it is neither"),
			  std::string::npos);
	}
	EXPECT_THROW(resolve_device("/nonesuch"), Error);
	EXPECT_THROW(resolve_device("/proc/self"), Error); // no mount point
	EXPECT_THROW(resolve_device("/proc"), Error);	   // mounted, but on no device
	EXPECT_THROW(resolve_device("UUID=00000000-dead-beef-0000-000000000000"), Error);
}

TEST(mount_point, takes_the_topmost_mount_and_reads_escapes)
{
	std::istringstream mountinfo{
		"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		"22 21 8:2 / /my\\040disk rw shared:2 master:1 - xfs /dev/sda2 rw\n"
		"23 21 8:3 /sub /my\\040disk rw - ext4 /dev/sda3 rw\n"
		"garbage\n"};
	const auto mount = find_mount(mountinfo, "/my disk");
	ASSERT_TRUE(mount);
	EXPECT_EQ(mount->device, (DeviceId{8, 3}));
	EXPECT_EQ(mount->type, "ext4");
	EXPECT_EQ(mount->source, "/dev/sda3");
}

TEST(mount_point, a_directory_inside_a_mount_is_none)
{
	std::istringstream mountinfo{"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"};
	EXPECT_FALSE(find_mount(mountinfo, "/home"));
}

} // namespace blksnap
