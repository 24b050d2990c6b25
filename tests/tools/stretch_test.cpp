// SPDX-License-Identifier: GPL-2.0
//
// The service that stretches the storage of a snapshot: what it gives, tries again and gives up.
#include "command_fixture.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include <unistd.h>

namespace blksnap
{

namespace
{

// For the service's files, in the build tree, which lies on a disk where /tmp may not.
class Directory final
{
public:
	Directory()
		: path_{std::filesystem::current_path() /
			("blksnap-stretch-" + std::to_string(getpid()))}
	{
		std::filesystem::create_directory(path_);
	}

	~Directory() { std::filesystem::remove_all(path_); }

	const std::string &path() const { return path_.native(); }

	bool has(const std::string &name) const { return std::filesystem::exists(path_ / name); }

private:
	std::filesystem::path path_;
};

class StretchTest : public CommandTest
{
protected:
	StretchTest()
	{
		module_.add_snapshot(1, 1);
		patience_ = std::chrono::milliseconds{10};
	}

	void request(std::uint64_t sectors)
	{
		add_event(0, blk_snap_event_low_free_space{sectors});
	}

	// The snapshot is gone after so many questions for an event.
	void end_after_waits(unsigned count)
	{
		module_.before[IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT] = [this, count] {
			if (count == 0)
				module_.snapshots.clear();
			else
				end_after_waits(count - 1);
		};
	}

	void count_appends()
	{
		module_.before[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = [this] {
			appends_++;
			count_appends();
		};
	}

	// Return: whether this file system has raw extents.
	bool serve(std::vector<std::string> options = {})
	{
		std::vector<std::string> arguments{"stretch_snapshot", "-i", kId, "-p",
						   directory_.path()};
		arguments.insert(arguments.end(), options.begin(), options.end());
		EXPECT_EQ(run(std::move(arguments)), 0);
		EXPECT_TRUE(out_.str().ends_with(
			"The snapshot no longer exists.\nStretch snapshot service finished.\n"));
		return err_.str().find("use a file on ext4") == std::string::npos;
	}

	// How many lines of errors end so.
	std::ptrdiff_t errors(const std::string &end) const
	{
		std::istringstream lines{err_.str()};
		std::ptrdiff_t count = 0;
		for (std::string line; std::getline(lines, line);)
			count += line.ends_with(end);
		return count;
	}

	std::ptrdiff_t error_lines() const { return errors(""); }

	static constexpr const char *kGivenUp =
		"; it is not tried again: append storage by hand, with blksnap "
		"snapshot_appendstorage";
	static constexpr const char *kTriedAgain = "; it is tried again";

	Directory directory_;
	unsigned appends_ = 0;
};

} // namespace

TEST_F(StretchTest, gives_what_is_asked_for_up_to_its_limit)
{
	std::ofstream{directory_.path() + "/diff_storage#0"} << "of somebody else";
	request(2048);
	add_event(1, blk_snap_event_corrupted{{8, 1}, 28});
	bool seen = false;
	module_.before[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = [&] {
		seen = directory_.has("diff_storage#1");
		request(2048); // beyond the limit
	};
	end_after_waits(8);
	if (!serve({"-l", "1"}))
		GTEST_SKIP() << err_.str();
	EXPECT_TRUE(seen);
	EXPECT_TRUE(directory_.has("diff_storage#0"));
	EXPECT_FALSE(directory_.has("diff_storage#1"));
	const auto text = out_.str();
	EXPECT_TRUE(text.starts_with(
		"Stretch snapshot service started.\nLow free space: requested 2048 "
		"sectors, appended "))
		<< text;
	EXPECT_NE(text.find("diff_storage#1\nallocate range: ofs="), std::string::npos) << text;
	EXPECT_NE(text.find("Corrupted: device 8:1 "), std::string::npos) << text;
	EXPECT_NE(text.find("error 28 (No space left on device)"), std::string::npos) << text;
	EXPECT_EQ(err_.str(), "blksnap: cannot grow the storage in " + directory_.path() +
				      ": its limit is reached" + kGivenUp + "\n");
}

TEST_F(StretchTest, says_for_each_request_that_the_limit_is_reached)
{
	for (unsigned i = 0; i < 3; i++)
		request(2048);
	end_after_waits(9);
	if (!serve({"-l", "1"}))
		GTEST_SKIP() << err_.str();
	EXPECT_EQ(errors(kGivenUp), 2) << err_.str();
	EXPECT_EQ(error_lines(), 2) << err_.str();
}

TEST_F(StretchTest, does_not_try_again_what_cannot_succeed)
{
	for (const int code : {EPERM, EROFS, ENXIO, EOPNOTSUPP}) {
		module_.failures[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = -code;
		module_.snapshots.clear();
		module_.add_snapshot(1, 1);
		appends_ = 0;
		count_appends();
		request(2048);
		end_after_waits(5);
		if (!serve())
			GTEST_SKIP() << err_.str();
		EXPECT_EQ(appends_, 1u) << code;
		EXPECT_EQ(errors(kGivenUp), 1) << err_.str();
		EXPECT_EQ(error_lines(), 1) << err_.str();
	}
}

TEST_F(StretchTest, gives_up_when_the_reason_becomes_final)
{
	module_.failures[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = -ENOMEM;
	module_.before[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = [this] {
		module_.before[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = [this] {
			module_.failures[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = -EROFS;
			count_appends();
		};
	};
	request(2048);
	end_after_waits(6);
	if (!serve())
		GTEST_SKIP() << err_.str();
	EXPECT_EQ(appends_, 0u);
	EXPECT_EQ(errors(kTriedAgain), 1) << err_.str();
	EXPECT_EQ(errors(kGivenUp), 1) << err_.str();
	EXPECT_EQ(error_lines(), 2) << err_.str();
}

// The module asks once for a portion.
TEST_F(CommandTest, stretch_snapshot_tries_again)
{
	const Directory directory;
	module_.add_snapshot(1, 1);
	add_event(0, blk_snap_event_low_free_space{2048});
	module_.failures[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = -ENOMEM;
	unsigned attempts = 0;
	std::function<void()> attempt = [&] {
		if (++attempts == 4) { // the fourth succeeds
			module_.failures.erase(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE);
			module_.before[IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT] = [&] {
				EXPECT_TRUE(directory.has("diff_storage#3"));
				module_.snapshots.clear();
			};
			return;
		}
		module_.before[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = attempt;
	};
	module_.before[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = attempt;
	patience_ = std::chrono::milliseconds{20};
	EXPECT_EQ(run({"stretch_snapshot", "-i", kId, "-p", directory.path()}), 0);
	if (err_.str().find("use a file on ext4") != std::string::npos)
		GTEST_SKIP() << err_.str();
	EXPECT_EQ(attempts, 4u);
	EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
	EXPECT_TRUE(out_.str().starts_with("Stretch snapshot service started.\nLow free space: "
					   "requested 2048 sectors, appended "))
		<< out_.str();
	const auto errors = err_.str();
	EXPECT_TRUE(errors.ends_with("; it is tried again\n")) << errors;
	EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 1) << errors; // said once
}

TEST_F(StretchTest, ends_without_a_word_when_the_snapshot_goes_meanwhile)
{
	request(2048);
	module_.before[IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE] = [this] {
		module_.snapshots.clear();
	};
	if (!serve())
		GTEST_SKIP() << err_.str();
	EXPECT_EQ(err_.str(), "");
	EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(StretchTest, of_no_snapshot_is_an_error)
{
	module_.snapshots.clear();
	EXPECT_EQ(error({"stretch_snapshot", "-i", kId, "-p", directory_.path()}),
		  std::string{"blksnap: cannot serve snapshot "} + kId +
			  ": there is no such snapshot; list the snapshots with blksnap "
			  "snapshot_collect\n");
}

} // namespace blksnap
