// SPDX-License-Identifier: GPL-2.0
//
// File extents: which are raw sectors, and whether those of a real file hold its data.
#include <blksnap/error.hpp>
#include <blksnap/file_extents.hpp>

#include "libblksnap/src/unique_fd.hpp"

#include <gtest/gtest.h>
#include <linux/fiemap.h>

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <set>

namespace blksnap
{

namespace
{

constexpr std::uint64_t kFileBytes = 1 << 20;

// A file in the build tree, which lies on a disk where /tmp may not.
class RealFile final
{
public:
	RealFile()
		: path_{std::filesystem::current_path() /
			("blksnap-test-" + std::to_string(getpid()))},
		  fd_{open(path_.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600)}
	{
	}

	~RealFile() { unlink(path_.c_str()); }

	void write(std::uint64_t offset, const std::string &text) const
	{
		ASSERT_EQ(pwrite(fd_.get(), text.data(), text.size(), static_cast<off_t>(offset)),
			  static_cast<ssize_t>(text.size()));
	}

	int fd() const { return fd_.get(); }

	const std::string &path() const { return path_; }

private:
	std::string path_;
	UniqueFd fd_;
};

std::string pattern()
{
	std::string text;
	for (unsigned word = 0; text.size() < kFileBytes; word++)
		text += "blksnap " + std::to_string(word * 2654435761u) + "\n";
	text.resize(kFileBytes);
	return text;
}

std::string read_raw(int device, const SectorRange &range)
{
	const auto bytes = range.count_sectors * kSectorSizeBytes;
	const std::unique_ptr<void, void (*)(void *)> memory{std::aligned_alloc(4096, bytes),
							     std::free};
	const auto offset = static_cast<off_t>(range.offset_sectors * kSectorSizeBytes);
	if (pread(device, memory.get(), bytes, offset) != static_cast<ssize_t>(bytes))
		return {};
	return {static_cast<const char *>(memory.get()), bytes};
}

std::multiset<std::string> sectors_of(const std::string &bytes)
{
	std::multiset<std::string> sectors;
	for (std::size_t at = 0; at < bytes.size(); at += kSectorSizeBytes)
		sectors.insert(bytes.substr(at, kSectorSizeBytes));
	return sectors;
}

std::vector<SectorRange> storage_of(const Extent &extent)
{
	return ranges_of("file", std::span{&extent, 1}, extent.length_bytes, ExtentUse::Storage);
}

} // namespace

TEST(file_extents, neighbours_become_one_range)
{
	const std::vector<Extent> extents{{0, 8192, 4096, 0},
					  {4096, 12288, 4096, FIEMAP_EXTENT_UNWRITTEN},
					  {8192, 4096, 4096, 0},
					  {12288, 65536, 4096, FIEMAP_EXTENT_LAST}};
	EXPECT_EQ(ranges_of("file", extents, 16384, ExtentUse::Storage),
		  (std::vector<SectorRange>{{8, 24}, {128, 8}}));
}

TEST(file_extents, nothing_beyond_the_end_of_the_file_is_used)
{
	const std::vector<Extent> extents{{0, 4096, 65536, 0}, {65536, 1 << 20, 65536, 0}};
	EXPECT_EQ(ranges_of("file", extents, 5000, ExtentUse::Storage),
		  (std::vector<SectorRange>{{8, 9}}));
	EXPECT_EQ(ranges_of("file", extents, 5000, ExtentUse::Marking),
		  (std::vector<SectorRange>{{8, 10}}));
}

TEST(file_extents, what_is_no_raw_storage_is_refused)
{
	EXPECT_NO_THROW(storage_of({0, 4096, 4096, 0}));
	EXPECT_NO_THROW(storage_of({0, 4096, 4096, FIEMAP_EXTENT_UNWRITTEN}));
	EXPECT_NO_THROW(storage_of({0, 4096, 4096, FIEMAP_EXTENT_MERGED | FIEMAP_EXTENT_LAST}));
	for (const auto flag :
	     {FIEMAP_EXTENT_DELALLOC, FIEMAP_EXTENT_UNKNOWN, FIEMAP_EXTENT_ENCODED,
	      FIEMAP_EXTENT_DATA_ENCRYPTED, FIEMAP_EXTENT_NOT_ALIGNED, FIEMAP_EXTENT_DATA_INLINE,
	      FIEMAP_EXTENT_DATA_TAIL, FIEMAP_EXTENT_SHARED})
		EXPECT_THROW(storage_of({0, 4096, 4096, static_cast<std::uint32_t>(flag)}), Error)
			<< flag;
	EXPECT_THROW(storage_of({0, 4097, 4096, 0}), Error);
}

TEST(file_extents, with_holes_are_no_storage)
{
	const std::vector<Extent> extents{{0, 4096, 4096, 0}, {8192, 65536, 4096, 0}};
	const auto error_of = [&](std::span<const Extent> some, std::uint64_t size, ExtentUse use) {
		try {
			ranges_of("file", some, size, use);
		} catch (const Error &error) {
			EXPECT_NE(std::strstr(error.what(), " with fallocate"), nullptr);
			return error.code();
		}
		return 0;
	};
	EXPECT_EQ(error_of(extents, 12288, ExtentUse::Storage), ENODATA);
	EXPECT_EQ(error_of(extents, 12288, ExtentUse::SparseStorage), 0);
	EXPECT_EQ(error_of(extents, 12288, ExtentUse::Marking), 0);
	EXPECT_EQ(error_of(extents, 4096, ExtentUse::Storage), 0);
	for (const std::uint64_t size : {0, 4096}) {
		EXPECT_EQ(error_of({}, size, ExtentUse::Storage), ENODATA);
		EXPECT_EQ(error_of({}, size, ExtentUse::SparseStorage), ENODATA);
		EXPECT_EQ(error_of({}, size, ExtentUse::Marking), 0);
	}
}

TEST(file_extents, shared_blocks_may_be_marked)
{
	const Extent extent{0, 4096, 4096, FIEMAP_EXTENT_SHARED};
	EXPECT_NO_THROW(ranges_of("file", std::span{&extent, 1}, kFileBytes, ExtentUse::Marking));
}

TEST(file_extents, of_a_real_file_hold_its_data)
{
	const RealFile file;
	const auto text = pattern();
	file.write(0, text);

	FileExtents extents;
	try {
		extents = find_file_extents(file.path(), ExtentUse::Storage);
	} catch (const Error &error) {
		GTEST_SKIP() << "this file system has no raw extents: " << error.what();
	}
	EXPECT_EQ(total_sectors(extents.ranges), kFileBytes / kSectorSizeBytes);

	const UniqueFd device{open(extents.device.name.c_str(), O_RDONLY | O_DIRECT)};
	if (!device)
		GTEST_SKIP() << "cannot read " << extents.device.name << ": "
			     << std::strerror(errno);
	std::string raw;
	for (const auto &range : extents.ranges)
		raw += read_raw(device.get(), range);
	// The ranges are in the order of the device: compare sectors, each of which is unique.
	EXPECT_TRUE(sectors_of(raw) == sectors_of(text));
}

TEST(file_extents, of_a_real_file_leave_its_holes_out)
{
	const RealFile file;
	file.write(0, std::string(65536, 'a'));
	file.write(4 * 65536, std::string(65536, 'b'));

	FileExtents extents;
	try {
		extents = find_file_extents(file.path(), ExtentUse::SparseStorage);
	} catch (const Error &error) {
		GTEST_SKIP() << "this file system has no raw extents: " << error.what();
	}
	EXPECT_EQ(extents.size_sectors, 5u * 128);
	EXPECT_EQ(total_sectors(extents.ranges), 2u * 128);
}

TEST(file_extents, of_many_pieces_are_all_found)
{
	const RealFile file;
	constexpr unsigned kPieces = 600; // more than one question to the file system
	// Allocated, not written: xfs would fill the gaps after writes.
	for (unsigned piece = 0; piece < kPieces; piece++)
		if (fallocate(file.fd(), 0, piece * 131072ll, 4096) != 0)
			GTEST_SKIP() << "this file system has no fallocate";

	FileExtents extents;
	try {
		extents = find_file_extents(file.path(), ExtentUse::SparseStorage);
	} catch (const Error &error) {
		GTEST_SKIP() << "this file system has no raw extents: " << error.what();
	}
	EXPECT_EQ(total_sectors(extents.ranges), kPieces * 8);
}

TEST(file_extents, only_regular_files_on_one_device_have_them)
{
	EXPECT_THROW(find_file_extents("/dev/null", ExtentUse::Storage), Error);
	EXPECT_THROW(find_file_extents("/proc/self/status", ExtentUse::Storage), Error);
	EXPECT_THROW(find_file_extents("/nonesuch", ExtentUse::Storage), Error);
}

} // namespace blksnap
