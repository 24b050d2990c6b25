// SPDX-License-Identifier: GPL-2.0
//
// parameters: names, defaults and ranges, at load and at run time, and what they change.
#include "kselftest.hpp"

#include "file.hpp"
#include "module.hpp"
#include "process.hpp"
#include "snapshot.hpp"

#include <algorithm>
#include <memory>

using namespace kselftest;

namespace
{

// As Documentation/uapi.rst has them.
struct Range {
	const char *name;
	std::uint64_t initial, minimum, maximum;
};
const Range kRanges[] = {
	{"tracking_block_minimum_shift", 16, 12, 26},
	{"tracking_block_maximum_count", 2097152, 1024, 134217728},
	{"chunk_minimum_shift", 12, 12, 26},
	{"chunk_maximum_count", 2097152, 1024, 2147483647},
	{"chunk_maximum_in_cache", 32, 1, 65536},
	{"free_diff_buffer_pool_size", 128, 16, 65536},
	{"diff_storage_minimum", 2097152, 8, 1099511627776},
	{"storage_on_origin_after_take", 0, 0, 1},
	{"cow_memory_limit_kib", 32768, 1024, 67108864},
	{"cow_timeout_ms", 30000, 100, 3600000},
	{"parked_limit", 1024, 1, 1048576},
	{"freeze_timeout_ms", 60000, 100, 3600000},
	{"drain_timeout_ms", 5000, 10, 3600000},
};

std::vector<std::string> values_out_of(const Range &range)
{
	std::vector<std::string> values{"",
					"x",
					"-1",
					"1x",
					"0x",
					"18446744073709551616",
					"99999999999999999999999999999999999999"};

	values.push_back(std::to_string(range.maximum + 1));
	if (range.minimum)
		values.push_back(std::to_string(range.minimum - 1));
	return values;
}

// What the kernel logs from now on.
class Log
{
public:
	Log() : fd_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC))
	{
		REQUIRE(fd_ >= 0);
		REQUIRE_EQ(lseek(fd_, 0, SEEK_END), 0);
	}
	~Log() { close(fd_); }
	Log(const Log &) = delete;
	Log &operator=(const Log &) = delete;

	bool says(const std::string &text)
	{
		// One record at a time; EPIPE tells of lost ones.
		char record[8192];
		for (;;) {
			const ssize_t got = read(fd_, record, sizeof(record));
			if (got < 0 && errno != EPIPE)
				break;
			if (got > 0)
				said_.append(record, static_cast<std::size_t>(got));
		}
		return said_.find(text) != std::string::npos;
	}

private:
	int fd_;
	std::string said_;
};

unsigned block_bytes_of(const Control &control, const Disk &disk)
{
	const Snapshot snapshot(control, {&disk});

	return tracker_of(control, disk.number())->blk_size;
}

} // namespace

TEST(all_parameters_are_known)
{
	auto names = module::parameters();
	for (const Range &range : kRanges) {
		const auto found = std::find(names.begin(), names.end(), range.name);
		EXPECT(found != names.end());
		if (found == names.end())
			note("there is no %s", range.name);
		else
			names.erase(found);
	}
	EXPECT_EQ(names, std::vector<std::string>{"hook"});
}

TEST(defaults_are_as_documented)
{
	const module::Reload reload;
	REQUIRE_ERRNO(module::unload(), 0);
	REQUIRE_ERRNO(module::load(), 0);
	for (const Range &range : kRanges) {
		if (module::parameter(range.name) != std::to_string(range.initial))
			note("%s", range.name);
		EXPECT_EQ(module::parameter(range.name), std::to_string(range.initial));
	}
	EXPECT_EQ(module::parameter("hook"), "auto");
}

TEST(the_ends_of_the_ranges_are_accepted_at_run_time)
{
	for (const Range &range : kRanges) {
		const std::string before = module::parameter(range.name);
		for (const std::uint64_t value : {range.minimum, range.maximum, range.initial}) {
			EXPECT_ERRNO(module::set_parameter(range.name, std::to_string(value)), 0);
			EXPECT_EQ(module::parameter(range.name), std::to_string(value));
		}
		EXPECT_ERRNO(module::set_parameter(range.name, before + "\n"), 0);
		EXPECT_EQ(module::parameter(range.name), before);
	}
}

TEST(what_is_out_of_range_is_refused_at_run_time)
{
	for (const Range &range : kRanges) {
		const std::string before = module::parameter(range.name);
		for (const std::string &value : values_out_of(range)) {
			if (value.empty())
				continue; // writes nothing at all
			Log log;
			if (!EXPECT_ERRNO(module::set_parameter(range.name, value), EINVAL))
				note("%s=%s", range.name, value.c_str());
			EXPECT_EQ(module::parameter(range.name), before);
			EXPECT(log.says(std::string("parameter ") + range.name + ": '"));
			EXPECT(log.says("must be from " + std::to_string(range.minimum) + " to " +
					std::to_string(range.maximum)));
		}
	}
}

TEST(what_is_out_of_range_is_refused_at_load, .timeout_seconds = 300)
{
	const module::Reload reload;
	REQUIRE_ERRNO(module::unload(), 0);
	for (const Range &range : kRanges) {
		for (const std::string &value : values_out_of(range)) {
			Log log;
			const std::string setting = std::string(range.name) + "=" + value;
			if (!EXPECT_ERRNO(module::load(setting), EINVAL))
				note("%s", setting.c_str());
			EXPECT(!module::is_loaded());
			EXPECT(!exists("/dev/blksnap"));
			EXPECT(log.says(std::string("blksnap: parameter ") + range.name + ": '"));
			EXPECT(log.says("must be from " + std::to_string(range.minimum) + " to " +
					std::to_string(range.maximum)));
		}
	}
	EXPECT_ERRNO(module::load(), 0);
}

TEST(the_ends_of_the_ranges_are_accepted_at_load)
{
	const module::Reload reload;
	for (const bool highest : {false, true}) {
		REQUIRE_ERRNO(module::unload(), 0);
		std::string settings;
		for (const Range &range : kRanges)
			settings += std::string(range.name) + "=" +
				    std::to_string(highest ? range.maximum : range.minimum) + " ";
		REQUIRE_ERRNO(module::load(settings), 0);
		for (const Range &range : kRanges)
			EXPECT_EQ(module::parameter(range.name),
				  std::to_string(highest ? range.maximum : range.minimum));
	}
}

// What scripts for the original module give.
TEST(the_parameters_of_v1_are_accepted_together)
{
	const module::Reload reload;
	REQUIRE_ERRNO(module::unload(), 0);
	REQUIRE_ERRNO(
		module::load("tracking_block_minimum_shift=16 tracking_block_maximum_count=2097152 "
			     "chunk_minimum_shift=18 chunk_maximum_count=2097152 "
			     "chunk_maximum_in_cache=32 free_diff_buffer_pool_size=128 "
			     "diff_storage_minimum=262144"),
		0);
	EXPECT_EQ(module::parameter("diff_storage_minimum"), "262144");
	EXPECT_EQ(module::parameter("chunk_minimum_shift"), "18");
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	blk_snap_snapshot_event event;
	EXPECT_ERRNO(snapshot.wait_event(0, event), 0);
	blk_snap_event_low_free_space data;
	memcpy(&data, event.data, sizeof(data));
	EXPECT_EQ(data.requested_nr_sect, 262144u);
	origin.fill(1, 0, 128);
	snapshot.take_with(store);
	origin.fill(2, 0, 128);
	EXPECT(snapshot.image_of(origin).holds(1, 0, 128));
}

TEST(every_parameter_is_described)
{
	const Run modinfo = run({"modinfo", "-p", [] {
					 const char *file = getenv("BLKSNAP_MODULE");
					 return std::string(file && *file ? file : "blksnap");
				 }()});
	if (modinfo.status)
		skip("no modinfo here");
	for (const std::string &name : module::parameters()) {
		if (!EXPECT(("\n" + modinfo.output).find("\n" + name + ":") != std::string::npos))
			note("%s", name.c_str());
	}
}

TEST(hooks_are_chosen_by_name)
{
	const module::Reload reload;
	const NullDisk origin(16), store(16);
	for (const char *hook : {"auto", "ipmodify"}) {
		REQUIRE_ERRNO(module::unload(), 0);
		REQUIRE_ERRNO(module::load(std::string("hook=") + hook), 0);
		EXPECT_EQ(module::parameter("hook"), hook);
		const Control control;
		origin.fill(1, 0, 128);
		const Snapshot snapshot(control, {&origin});
		snapshot.take_with(store);
		origin.fill(2, 0, 64);
		EXPECT(snapshot.image_of(origin).holds(1, 0, 128));
	}
	EXPECT_ERRNO(module::set_parameter("hook", "none"), EINVAL);
	REQUIRE_ERRNO(module::unload(), 0);
	EXPECT_ERRNO(module::load("hook=none"), EINVAL);
	EXPECT(!module::is_loaded());
}

// --- what they change ------------------------------------------------------------------------

TEST(tracking_block_minimum_shift_sets_the_block)
{
	const Control control;
	const NullDisk origin(80);
	for (const unsigned shift : {12u, 16u, 20u, 26u}) {
		const module::Parameter parameter("tracking_block_minimum_shift",
						  std::to_string(shift));
		EXPECT_EQ(block_bytes_of(control, origin), 1u << shift);
	}
}

TEST(tracking_block_maximum_count_doubles_the_block)
{
	const Control control;
	const module::Parameter parameter("tracking_block_maximum_count", "1024");
	// 1024 blocks of 64 KiB are 64 MiB.
	const LoopDisk fits(64 << 20), one_more((64 << 20) + 512), twice((128 << 20) + 512);
	EXPECT_EQ(block_bytes_of(control, fits), 65536u);
	EXPECT_EQ(block_bytes_of(control, one_more), 131072u);
	EXPECT_EQ(block_bytes_of(control, twice), 262144u);
}

TEST(a_tracker_keeps_the_block_it_was_made_with)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	const module::Parameter parameter("tracking_block_minimum_shift", "20");
	snapshot.take_with(store);
	EXPECT_EQ(tracker_of(control, origin.number())->blk_size, 65536u);
	EXPECT_EQ(cbt_map(control, origin.number()).size(), 256u);
}
