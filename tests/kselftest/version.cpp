// SPDX-License-Identifier: GPL-2.0
//
// version: the control node, and which requests it knows.
#include "kselftest.hpp"

#include "file.hpp"
#include "module.hpp"
#include "process.hpp"
#include "requests.hpp"
#include "snapshot.hpp"

#include <cstdio>

using namespace kselftest;

namespace
{

// Larger than any argument could be.
unsigned char memory[65536];

// Requests that are none, and what the module says to them.
void expect_unknown(const Control &control, std::uint32_t request)
{
	if (is_request(request))
		return;
	const int error = control.try_call(request, memory);
	if (error != ENOTTY)
		note("request %#x", request);
	EXPECT_ERRNO(error, ENOTTY);
}

} // namespace

TEST(version_is_told)
{
	const Control control;
	unsigned char bytes[sizeof(blk_snap_version) + 8];
	memset(bytes, 0xa5, sizeof(bytes));
	REQUIRE_ERRNO(control.try_call(IOCTL_BLK_SNAP_VERSION, bytes), 0);

	blk_snap_version version;
	memcpy(&version, bytes, sizeof(version));
	EXPECT(version.major >= 1 && version.major < 0xa5);
	EXPECT(version.minor != 0xa5a5 && version.revision != 0xa5a5 && version.build != 0xa5a5);
	for (std::size_t i = sizeof(version); i < sizeof(bytes); i++)
		EXPECT_EQ(bytes[i], 0xa5);
	const std::string said =
		std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
		std::to_string(version.revision) + "." + std::to_string(version.build);
	EXPECT_EQ(read_line("/sys/module/blksnap/version"), said);
}

TEST(node_belongs_to_root_alone)
{
	struct stat status;
	REQUIRE_EQ(stat("/dev/blksnap", &status), 0);
	EXPECT(S_ISCHR(status.st_mode));
	EXPECT_EQ(status.st_mode & 07777, 0600u);
	EXPECT_EQ(status.st_uid, 0u);
}

TEST(class_tells_the_major_number)
{
	struct stat status;
	REQUIRE_EQ(stat("/dev/blksnap", &status), 0);
	EXPECT_EQ(read_line("/sys/class/blksnap/major"), std::to_string(major(status.st_rdev)));
	EXPECT_EQ(read_line("/sys/class/blksnap/blksnap/dev"),
		  std::to_string(major(status.st_rdev)) + ":" +
			  std::to_string(minor(status.st_rdev)));
	EXPECT_EQ(write_file("/sys/class/blksnap/major", "1"), EACCES);
}

TEST(node_and_class_go_with_the_module)
{
	const module::Reload reload;
	REQUIRE_ERRNO(module::unload(), 0);
	EXPECT(!module::is_loaded());
	EXPECT(!exists("/dev/blksnap"));
	EXPECT(!exists("/sys/class/blksnap"));
	EXPECT(!exists("/sys/module/blksnap"));
	REQUIRE_ERRNO(module::load(), 0);
	EXPECT(exists("/dev/blksnap"));
	EXPECT(exists("/sys/class/blksnap/major"));
}

TEST(an_open_node_keeps_the_module)
{
	const module::Reload reload;
	{
		const Control control;
		EXPECT_ERRNO(module::try_unload(), EWOULDBLOCK);
		blk_snap_version version;
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_VERSION, &version), 0);
	}
	EXPECT_ERRNO(module::unload(), 0);
}

// The numbers of the table, not those that the header makes.
TEST(the_twelve_numbers_are_known)
{
	const Control control;
	for (const std::uint32_t request : kRequests)
		EXPECT_ERRNO(control.try_call(request, nullptr), EFAULT);
}

TEST(number_12_is_unknown)
{
	expect_unknown(Control(), 0x4008560c);
}

// Clients take ENOTTY as "no extensions".
TEST(numbers_32_to_34_are_unknown)
{
	const Control control;
	for (std::uint32_t nr = 32; nr <= 34; nr++)
		for (const std::uint32_t direction : {0u, 1u, 2u, 3u})
			for (const std::uint32_t size : {0u, 1u, 4u, 8u, 16u, 24u, 32u, 40u, 4096u})
				expect_unknown(control,
					       direction << 30 | size << 16 | 'V' << 8 | nr);
}

TEST(numbers_above_11_are_unknown)
{
	const Control control;
	for (std::uint32_t nr = 12; nr < 256; nr++)
		for (const std::uint32_t shape :
		     {0u, 0x40080000u, 0x80100000u, 0x40100000u, 0xc0200000u})
			expect_unknown(control, shape | 'V' << 8 | nr);
}

TEST(another_type_is_unknown)
{
	const Control control;
	for (const std::uint32_t request : kRequests)
		for (std::uint32_t type = 0; type < 256; type++)
			if (type != 'V')
				expect_unknown(control, (request & ~0xff00u) | type << 8);
}

TEST(another_size_is_unknown)
{
	const Control control;
	for (const std::uint32_t request : kRequests)
		for (std::uint32_t size = 0; size < 1u << 14; size += size < 64 ? 1 : 61)
			expect_unknown(control, (request & 0xc000ffff) | size << 16);
}

TEST(another_direction_is_unknown)
{
	const Control control;
	for (const std::uint32_t request : kRequests)
		for (const std::uint32_t direction : {0u, 1u, 2u, 3u})
			expect_unknown(control, (request & 0x3fffffff) | direction << 30);
}

TEST(each_bit_of_a_number_counts)
{
	const Control control;
	for (const std::uint32_t request : kRequests)
		for (std::uint32_t bit = 0; bit < 32; bit++)
			expect_unknown(control, request ^ 1u << bit);
}

// What libc asks every file that it writes text to.
TEST(the_node_is_no_terminal)
{
	const Control control;
	errno = 0;
	EXPECT_EQ(isatty(control.fd()), 0);
	EXPECT_ERRNO(errno, ENOTTY);
}

TEST(the_node_is_neither_read_nor_written)
{
	const Control control;
	char byte = 0;
	EXPECT_EQ(read(control.fd(), &byte, 1), -1);
	EXPECT_ERRNO(errno, EINVAL);
	EXPECT_EQ(write(control.fd(), &byte, 1), -1);
	EXPECT_ERRNO(errno, EINVAL);
	EXPECT_EQ(lseek(control.fd(), 0, SEEK_SET), -1);
	EXPECT_ERRNO(errno, ESPIPE);
}

// The standalone line has the same numbers under other names: a program made with its header has
// these in it, whatever they are called there.
TEST(the_numbers_of_the_standalone_line_are_the_same)
{
	struct blk_snap_dev_t {
		__u32 mj, mn;
	};
	struct uuid_t {
		__u8 b[16];
	};
	struct tracker_collect {
		__u32 count;
		void *array;
	};
	struct snapshot_create {
		__u32 count;
		blk_snap_dev_t *devices;
		uuid_t id;
	};
	struct append_storage {
		uuid_t id;
		blk_snap_dev_t device;
		__u32 count;
		void *ranges;
	};
	struct collect_images {
		uuid_t id;
		__u32 count;
		void *array;
	};
	EXPECT_EQ(_IOW('V', 1, blk_snap_dev_t), kRequests[1]);
	EXPECT_EQ(_IOW('V', 2, tracker_collect), kRequests[2]);
	EXPECT_EQ(_IOW('V', 5, snapshot_create), kRequests[5]);
	EXPECT_EQ(_IOR('V', 6, uuid_t), kRequests[6]);
	EXPECT_EQ(_IOW('V', 7, append_storage), kRequests[7]);
	EXPECT_EQ(_IOR('V', 8, uuid_t), kRequests[8]);
	EXPECT_EQ(_IOW('V', 10, collect_images), kRequests[10]);
}
