// SPDX-License-Identifier: GPL-2.0
//
// The command against a fake module: exact output, errors, exit status.
#include "command_fixture.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <new>

#include <unistd.h>

namespace blksnap
{

using nlohmann::json;

TEST_F(CommandTest, version)
{
	EXPECT_EQ(output({"version"}), "1.2.3.4\n");
	EXPECT_EQ(output({"version", "-m", "--compatibility"}), "1.2.3.4\n");
	EXPECT_EQ(json::parse(output({"version", "--json"}))["version"], "1.2.3.4");
}

TEST_F(CommandTest, tracker_collect)
{
	EXPECT_EQ(output({"tracker_collect"}), "count=0\n.\n");
	add_tracker();
	const std::string one =
		",\ndevice=4095:1\nblk_size=65536\ndevice_capacity=262144\nblk_count=4\n"
		"generationId=ab000000-0000-0000-0000-000000000000\nsnap_number=200\n";
	EXPECT_EQ(output({"tracker_collect"}), "count=1\n" + one + ".\n");
	add_tracker();
	EXPECT_EQ(output({"tracker_collect"}), "count=2\n" + one + one + ".\n");
	const auto parsed = json::parse(output({"tracker_collect", "--json"}));
	EXPECT_EQ(parsed["count"], 2);
	EXPECT_EQ(parsed["trackers"][1]["snap_number"], 200);
}

TEST_F(CommandTest, tracker_remove)
{
	EXPECT_EQ(output({"tracker_remove", "-d", "4095:1"}), "");
	ASSERT_EQ(module_.removed.size(), 1u);
	EXPECT_EQ(module_.removed[0].mj, 4095u);
	module_.failures[IOCTL_BLK_SNAP_TRACKER_REMOVE] = -EBUSY;
	EXPECT_EQ(error({"tracker_remove", "-d", "4095:1"}),
		  "blksnap: cannot remove the tracker of 4095:1: a snapshot holds the device; "
		  "destroy "
		  "the snapshot first, with blksnap snapshot_destroy\n");
}

TEST_F(CommandTest, tracker_readcbtmap)
{
	add_tracker();
	const auto path = std::filesystem::temp_directory_path() /
			  ("blksnap-map-" + std::to_string(getpid()));
	EXPECT_EQ(output({"tracker_readcbtmap", "--device=4095:1", "--file=" + path.string()}), "");
	std::ifstream file{path, std::ios::binary};
	const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
	EXPECT_EQ(bytes, std::string("\0\xc8\xc7\0", 4));
	std::filesystem::remove(path);
	EXPECT_NE(error({"tracker_readcbtmap", "-d", "4095:1", "-f", "/nonesuch/map"})
			  .find("cannot write file /nonesuch/map: No such file"),
		  std::string::npos);
	EXPECT_NE(
		error({"tracker_readcbtmap", "-d", "4095:1", "-f", "/dev/full"}).find("/dev/full"),
		std::string::npos);
}

TEST_F(CommandTest, tracker_readcbtranges)
{
	add_tracker();
	EXPECT_EQ(output({"tracker_readcbtranges", "-d", "4095:1", "--since", "0"}), "128:256\n");
	EXPECT_EQ(output({"tracker_readcbtranges", "-d", "4095:1", "--since", "199"}), "128:128\n");
	EXPECT_EQ(output({"tracker_readcbtranges", "-d", "4095:1", "--since", "200"}), "");
	const auto parsed = json::parse(
		output({"tracker_readcbtranges", "-d", "4095:1", "--since", "199", "--json"}));
	EXPECT_EQ(parsed["changed_sectors"], 128);
	EXPECT_EQ(parsed["ranges"][0]["sector"], 128);
	EXPECT_EQ(output({"tracker_readcbtranges", "-d", "4095:1", "--since", "199", "--generation",
			  "AB000000-0000-0000-0000-000000000000"}),
		  "128:128\n");
	error({"tracker_readcbtranges", "-d", "4095:1", "--since", "256"});
	error({"tracker_readcbtranges", "-d", "4095:1", "--since", "-1"});
}

TEST_F(CommandTest, tracker_readcbtranges_of_another_generation)
{
	add_tracker();
	EXPECT_EQ(
		error({"tracker_readcbtranges", "-d", "4095:1", "--since", "201"}),
		"blksnap: cannot tell the changes of 4095:1: number 201 is of another generation, "
		"this one is at number 200; copy the whole device\n");
	EXPECT_EQ(error({"tracker_readcbtranges", "-d", "4095:1", "--since", "1", "-g",
			 "cd000000-0000-0000-0000-000000000000"}),
		  "blksnap: cannot tell the changes of 4095:1: the map began anew since generation "
		  "cd000000-0000-0000-0000-000000000000, it is of "
		  "ab000000-0000-0000-0000-000000000000 now; copy the whole device\n");
	error({"tracker_readcbtranges", "-d", "4095:1", "--since", "1", "-g", "1"});
}

TEST_F(CommandTest, tracker_markdirtyblock)
{
	EXPECT_EQ(output({"tracker_markdirtyblock", "-d", "4095:1", "--ranges", "8:16", "0:0"}),
		  "");
	ASSERT_EQ(module_.marked.size(), 2u);
	EXPECT_EQ(module_.marked[0].sector_offset, 8u);
	EXPECT_EQ(module_.marked[0].sector_count, 16u);
	EXPECT_NE(error({"tracker_markdirtyblock", "-d", "4095:1", "-r", "8"})
			  .find("range 8: it is not"),
		  std::string::npos);
	error({"tracker_markdirtyblock"});
	error({"tracker_markdirtyblock", "-d", "4095:1"});
	error({"tracker_markdirtyblock", "-r", "8:16"});
	error({"tracker_markdirtyblock", "-d", "4095:1", "-r", "8:16", "-f", "/etc/passwd"});
}

TEST_F(CommandTest, snapshot_create)
{
	EXPECT_EQ(output({"snapshot_create", "-d", "4095:1", "-d", "4095:2"}),
		  std::string{kId} + "\n");
	EXPECT_EQ(module_.snapshots.back().devices.size(), 2u);
	output({"snapshot_create", "--device", "4095:3", "4095:4", "4095:5"});
	EXPECT_EQ(module_.snapshots.back().devices.size(), 3u);
	EXPECT_EQ(json::parse(output({"snapshot_create", "-d", "4095:6", "--json"}))["snapshot"],
		  "00000000-0000-0000-0000-000000000003");
	module_.failures[IOCTL_BLK_SNAP_SNAPSHOT_CREATE] = -EALREADY;
	EXPECT_EQ(error({"snapshot_create", "-d", "4095:1", "-d", "4095:2"}),
		  "blksnap: cannot create a snapshot of 4095:1, 4095:2: a device is in another "
		  "snapshot; destroy that one first; the kernel log says which, see dmesg\n");
}

TEST_F(CommandTest, a_life_of_a_snapshot)
{
	output({"snapshot_create", "-d", "4095:1"});
	EXPECT_NE(error({"snapshot_take", "-i", kId}).find("it has no diff storage; append"),
		  std::string::npos);
	EXPECT_EQ(output({"snapshot_appendstorage", "-i", kId, "-d", "4095:9", "--range", "0:8",
			  "16:8"}),
		  "");
	EXPECT_EQ(module_.snapshots[0].storage.size(), 2u);
	EXPECT_EQ(output({"snapshot_collect"}), std::string{"snapshot="} + kId + "\ncount=0\n.\n");
	EXPECT_EQ(output({"snapshot_take", "-i", kId}), "");
	EXPECT_EQ(output({"snapshot_collect", "-i", kId}),
		  std::string{"snapshot="} + kId +
			  "\ncount=1\n,\norig_dev_id=4095:1\nimage_dev_id=259:0\n.\n");
	EXPECT_EQ(output({"snapshot_destroy", "-i", kId}), "");
	EXPECT_EQ(error({"snapshot_destroy", "-i", kId}),
		  std::string{"blksnap: cannot destroy snapshot "} + kId +
			  ": there is no such snapshot; list the snapshots with blksnap "
			  "snapshot_collect\n");
}

TEST_F(CommandTest, snapshot_collect)
{
	EXPECT_EQ(output({"snapshot_collect"}), "");
	module_.add_snapshot(1, 2);
	module_.add_snapshot(2, 1);
	EXPECT_EQ(output({"snapshot_collect"}),
		  "snapshot=00000000-0000-0000-0000-000000000001\ncount=2\n"
		  ",\norig_dev_id=8:1\nimage_dev_id=259:0\n"
		  ",\norig_dev_id=8:2\nimage_dev_id=259:1\n.\n"
		  "snapshot=00000000-0000-0000-0000-000000000002\ncount=1\n"
		  ",\norig_dev_id=8:1\nimage_dev_id=259:0\n.\n");
	const auto parsed = json::parse(output({"snapshot_collect", "--json"}));
	EXPECT_EQ(parsed["snapshots"][0]["images"][1]["image_name"], "/dev/blksnap-image1");
	error({"snapshot_collect", "-i", "00000000-0000-0000-0000-000000000003"});
	error({"snapshot_collect", "-i", "3"});
}

TEST_F(CommandTest, snapshot_collect_leaves_out_what_vanishes_meanwhile)
{
	module_.add_snapshot(1, 1);
	module_.before[IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES] = [this] {
		module_.snapshots.clear();
	};
	EXPECT_EQ(output({"snapshot_collect"}), "");
}

TEST_F(CommandTest, snapshot_appendstorage_of_a_file_prints_its_ranges)
{
	module_.add_snapshot(1, 1);
	const auto path =
		std::filesystem::current_path() / ("blksnap-store-" + std::to_string(getpid()));
	std::ofstream{path} << std::string(65536, 'x');
	const int status = run({"snapshot_appendstorage", "-i", kId, "-f", path});
	std::filesystem::remove(path);
	if (status != 0 && err_.str().find("use a file on ext4") != std::string::npos)
		GTEST_SKIP() << err_.str();
	ASSERT_EQ(status, 0) << err_.str();
	std::string expected;
	std::uint64_t sectors = 0;
	for (const auto &range : module_.snapshots[0].storage) {
		expected += "allocate range: ofs=" + std::to_string(range.sector_offset) +
			    " cnt=" + std::to_string(range.sector_count) + "\n";
		sectors += range.sector_count;
	}
	EXPECT_EQ(out_.str(), expected);
	EXPECT_EQ(sectors, 128u);
}

TEST_F(CommandTest, snapshot_appendstorage_refuses_a_file_of_holes)
{
	module_.add_snapshot(1, 1);
	const auto path =
		std::filesystem::current_path() / ("blksnap-hole-" + std::to_string(getpid()));
	std::ofstream{path};
	std::filesystem::resize_file(path, 65536);
	error({"snapshot_appendstorage", "-i", kId, "-f", path});
	std::filesystem::resize_file(path, 0);
	error({"snapshot_appendstorage", "-i", kId, "-f", path});
	std::filesystem::remove(path);
	EXPECT_TRUE(module_.snapshots[0].storage.empty());
}

TEST_F(CommandTest, snapshot_appendstorage_warns_of_holes)
{
	module_.add_snapshot(1, 1);
	const auto path =
		std::filesystem::current_path() / ("blksnap-sparse-" + std::to_string(getpid()));
	std::ofstream{path} << std::string(65536, 'x');
	std::filesystem::resize_file(path, 2 * 65536);
	const int status = run({"snapshot_appendstorage", "-i", kId, "-f", path});
	std::filesystem::remove(path);
	if (status != 0 && err_.str().find("use a file on ext4") != std::string::npos)
		GTEST_SKIP() << err_.str();
	ASSERT_EQ(status, 0) << err_.str();
	EXPECT_EQ(err_.str(),
		  "blksnap: only 128 of the 256 sectors of " + path.string() +
			  " are allocated and used; allocate it in full with fallocate\n");
	EXPECT_FALSE(module_.snapshots[0].storage.empty());
}

TEST_F(CommandTest, snapshot_waitevent_tells_each_kind)
{
	module_.add_snapshot(1, 1);
	add_event(0, blk_snap_event_low_free_space{2097152});
	EXPECT_EQ(output({"snapshot_waitevent", "-i", kId, "-t", "0"}),
		  "result=ok\ntime=123456789\nevent=low_free_space\nrequested_nr_sect=2097152\n");
	add_event(1, blk_snap_event_corrupted{{8, 1}, 28});
	EXPECT_EQ(output({"snapshot_waitevent", "-i", kId, "-t", "0"}),
		  "result=ok\ntime=123456789\nevent=corrupted\norig_dev_id=8:1\nerr_code=28\n");
	add_event(1, blk_snap_event_corrupted{{8, 1}, 5});
	const auto parsed =
		json::parse(output({"snapshot_waitevent", "-i", kId, "-t", "0", "--json"}));
	EXPECT_EQ(parsed["err_code"], 5);
	EXPECT_EQ(parsed["time"], 123456789);
}

TEST_F(CommandTest, snapshot_waitevent_without_event_is_no_error)
{
	module_.add_snapshot(1, 1);
	EXPECT_EQ(output({"snapshot_waitevent", "-i", kId, "-t", "1"}), "result=timeout\n");
	module_.failures[IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT] = -EINTR;
	EXPECT_EQ(output({"snapshot_waitevent", "-i", kId, "-t", "1"}), "result=interrupted\n");
	module_.failures.clear();
	module_.snapshots.clear();
	EXPECT_EQ(output({"snapshot_waitevent", "-i", kId, "-t", "1"}), "result=not found\n");
	module_.failures[IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT] = -EFAULT;
	error({"snapshot_waitevent", "-i", kId, "-t", "1"});
}

TEST_F(CommandTest, snapshot_waitevent_is_woken_by_a_signal)
{
	module_.add_snapshot(1, 1);
	module_.before[IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT] = [] { std::raise(SIGTERM); };
	EXPECT_EQ(output({"snapshot_waitevent", "-i", kId, "-t", "1"}), "result=timeout\n");
}

TEST_F(CommandTest, option_prefixes)
{
	EXPECT_EQ(output({"snapshot_create", "--dev", "4095:1", "--j"}).front(), '{');
	EXPECT_EQ(output({"snapshot_create", "--d=4095:1"}).size(), 37u);
	// Both names of one option begin so.
	EXPECT_EQ(output({"snapshot_appendstorage", "--i", kId, "--de", "4095:9", "--ran", "0:8"}),
		  "");
	EXPECT_EQ(output({"version", "--mod"}), "1.2.3.4\n");
	error({"version", "--x"});
	error({"snapshot_create", "--", "--dev", "4095:1"});
}

TEST_F(CommandTest, bad_arguments)
{
	EXPECT_EQ(error({"nonesuch"}),
		  "blksnap: cannot run nonesuch: there is no such command; see blksnap --help\n");
	EXPECT_EQ(error({"snapshot_take"}),
		  "blksnap: cannot read the arguments: --id is required; see "
		  "blksnap snapshot_take --help\n");
	error({});
	error({"snapshot_waitevent", "-i", kId, "-t", "-5"});
	error({"snapshot_waitevent", "-i", kId, "-t", "ten"});
	error({"snapshot_waitevent", "-i", kId, "-t", "4294967296"});
}

// A variable that a script did not set is not an option that it did not give.
TEST_F(CommandTest, empty_values_are_refused)
{
	add_tracker();
	module_.add_snapshot(1, 1);
	EXPECT_EQ(error({"snapshot_collect", "--id", ""}),
		  "blksnap: cannot read the arguments: --id: the value is empty; see "
		  "blksnap snapshot_collect --help\n");
	const std::vector<std::vector<std::string>> lines{
		{"snapshot_collect", "--json", "--id="},
		{"snapshot_waitevent", "-i", kId, "-t", ""},
		{"snapshot_waitevent", "-i", "", "-t", "0"},
		{"snapshot_create", "-d", "4095:1", "-d", ""},
		{"snapshot_take", "-i", ""},
		{"snapshot_destroy", "-i", ""},
		{"snapshot_appendstorage", "-i", kId, "-f", ""},
		{"snapshot_appendstorage", "-i", kId, "-f", "", "-d", "4095:1", "-r", "0:8"},
		{"snapshot_appendstorage", "-i", kId, "-d", "", "-r", "0:8"},
		{"snapshot_appendstorage", "-i", kId, "-d", "4095:1", "-r", "0:8", ""},
		{"stretch_snapshot", "-i", kId, "-p", ""},
		{"stretch_snapshot", "-i", kId, "-p", "/tmp", "-l", ""},
		{"tracker_markdirtyblock", "-f", ""},
		{"tracker_markdirtyblock", "-d", "4095:1", "-r", ""},
		{"tracker_readcbtmap", "-d", "4095:1", "-f", ""},
		{"tracker_readcbtranges", "-d", "4095:1", "-s", ""},
		{"tracker_readcbtranges", "-d", "4095:1", "-s", "1", "-g", ""},
		{"tracker_remove", "-d", ""}};
	for (const auto &line : lines)
		EXPECT_TRUE(error(line).starts_with("blksnap: cannot read the arguments: "))
			<< testing::PrintToString(line) << err_.str();
}

TEST_F(CommandTest, every_command_has_help_with_an_example)
{
	const auto help = output({"--help"});
	for (const auto *name :
	     {"version", "tracker_remove", "tracker_collect", "tracker_readcbtmap",
	      "tracker_readcbtranges", "tracker_markdirtyblock", "snapshot_create",
	      "snapshot_destroy", "snapshot_appendstorage", "snapshot_take", "snapshot_waitevent",
	      "snapshot_collect", "stretch_snapshot"}) {
		EXPECT_NE(help.find(name), std::string::npos) << name;
		const auto text = output({name, "--help"});
		EXPECT_NE(text.find("  blksnap " + std::string{name}), std::string::npos) << name;
		EXPECT_TRUE(text.ends_with('\n')) << name;
	}
}

TEST_F(CommandTest, a_missing_module_is_told_with_the_remedy)
{
	if (std::filesystem::exists(Control::kPath))
		GTEST_SKIP() << "the module is loaded";
	command::Environment environment{.open_control = Control::open, .out = out_, .err = err_};
	EXPECT_EQ(command::run({"version"}, environment), 1);
	EXPECT_EQ(err_.str(),
		  "blksnap: cannot open /dev/blksnap: No such file or directory; load the "
		  "module with modprobe blksnap\n");
}

TEST_F(CommandTest, every_error_says_what_why_and_what_to_do)
{
	command::Environment exhausted{.open_control = []() -> Control { throw std::bad_alloc{}; },
				       .out = out_,
				       .err = err_};
	EXPECT_EQ(command::run({"tracker_collect"}, exhausted), 1);
	EXPECT_EQ(err_.str(), "blksnap: cannot run tracker_collect: out of memory; free some "
			      "memory and try again\n");
	// Whatever the module answers, also what it should not.
	for (const int code : {EPERM, EINVAL, EIO, ENOMEM, ENOTTY, 4000}) {
		module_.failures[IOCTL_BLK_SNAP_SNAPSHOT_TAKE] = -code;
		const auto line = error({"snapshot_take", "-i", kId});
		EXPECT_TRUE(line.starts_with(std::string{"blksnap: cannot take snapshot "} + kId +
					     ": "))
			<< line;
		EXPECT_NE(line.find("; "), std::string::npos) << line;
		EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
	}
}

TEST_F(CommandTest, its_own_version_needs_no_module)
{
	const auto text = output({"--version"});
	EXPECT_TRUE(text.starts_with("blksnap ")) << text;
	EXPECT_EQ(output({"-V"}), text);
}

TEST_F(CommandTest, output_that_cannot_be_written_is_an_error)
{
	std::ofstream full{"/dev/full"};
	command::Environment environment{
		.open_control = [this] { return module_.control(); }, .out = full, .err = err_};
	EXPECT_EQ(command::run({"version"}, environment), 1);
}

} // namespace blksnap
